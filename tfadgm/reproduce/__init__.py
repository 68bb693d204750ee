"""The results of Maaløe et al. 2016, one command each: python -m tfadgm.reproduce NAME."""
