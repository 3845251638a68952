"""The services that batches live on: what is asked of them over HTTP, and what their replies mean.

Every file here speaks for one step of a request's way: ``connection`` decides where the key may go,
``transport`` sends one request and bounds its reply, ``retry`` repeats reads, ``refusals`` names what a
status means, ``wire`` turns JSON into values, ``wording`` makes foreign text harmless, and a file per
service says which requests there are. Importing this package imports none of them: httpx is slow to load.
"""
