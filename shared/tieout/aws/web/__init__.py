"""The web: HTTP in and out of the desk's functions, who is asking, the login, the pages and the JSON API.

``http``      a request out of API Gateway's event (payload format 2.0), an answer back into it, routes, headers
``session``   who is asking: the encrypted session cookie, roles, CSRF token
``oidc``      the login: authorization code flow with PKCE
``api``       the same data as JSON under ``/v1``
``pages``     the same data as pages under ``/desk``
``desk``      all of it behind one handler
``door``      the authorizer of the pages

Powertools' HTTP resolver was looked at and left out: it keeps the request in a class attribute that all threads share,
its path parameters stop at a slash (posting keys have several), and it loads 260 modules for what is one loop here.
"""
