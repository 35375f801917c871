"""The command line: options, the twistd plugin's service, the console script."""
