"""The house rules of `template.yaml`, as cfn-lint rules: `cfn-lint --append-rules infra/lint -- template.yaml`."""
