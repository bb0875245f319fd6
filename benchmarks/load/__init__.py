"""Load on ``crossrank serve``, compared with the engine without a server and with infinity's server."""
