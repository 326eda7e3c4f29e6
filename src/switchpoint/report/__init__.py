"""The report, the page of anybody's runs, the browser of samples, and tables on the terminal."""
