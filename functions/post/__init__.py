"""A package so that the import law sees it; Lambda loads the modules beside this one by their own names."""
