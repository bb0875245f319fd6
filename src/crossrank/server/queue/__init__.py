"""One queue over all requests to a model.

Pairs of all waiting requests are batched together (``fair_queue.py`` decides which come next). Tokenisation
and the model run on threads of the queue (``scheduler.py``). Equal pairs that wait at one time are scored
once.
"""
