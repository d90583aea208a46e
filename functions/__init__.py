"""One folder per Lambda function: `app.py` unwraps the event, calls one verb, wraps the answer."""
