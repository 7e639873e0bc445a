"""What was done, and what waited, over time: kept in the store, by whoever works, for whoever looks.

Each process that works writes down every ten seconds what it did in them: a part, which is never changed. One of them
adds up the parts of each ten seconds, of these the minutes, and of these the hours. Each sum is made of all that it is
the sum of, whenever it is made: so a process that is killed while it adds up, or two that do it at once, count nothing
twice; and as the parts are soon forgotten, how much is kept does not depend on how many processes there are.
"""
