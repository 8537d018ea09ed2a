from spool.queue import Spool, SpoolError
