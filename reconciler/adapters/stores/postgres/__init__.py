"""State in PostgreSQL (extra ``postgres``): rows, a session's lock, and an epoch that fences writes (C1).

``address`` says which database, ``connection`` speaks to it and explains its errors, ``tables`` has its SQL,
``rows`` turns rows into values, ``session`` writes while the lock is held, ``store`` takes the lock,
``setup`` makes tables and carries them to a newer format. psycopg is imported nowhere else, and late.
"""
