"""Everything around the product: derived files, own lint rules, the local world. The product never imports it."""
