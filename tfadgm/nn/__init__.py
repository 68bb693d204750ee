"""Networks: trunks, conditional distributions, normalization, preprocessing."""
