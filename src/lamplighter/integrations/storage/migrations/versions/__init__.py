"""The steps from one version of the service's tables to the next. They only go forward."""
