"""What the measurements share: cases, targets, the load generator, the machine's clocks, and the tables.

The measurements themselves are the scripts beside this package; a new case is a row in `cases`, a new server a class in
`targets`, and a new measurement a script that fills rows and hands them to `report`.
"""
