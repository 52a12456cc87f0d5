"""`make up`: the services of docker-compose.yaml as processes of this machine.

    compose.py      what the file says, as far as a process cares
    places.py       addresses and paths of containers -> addresses and paths here
    programs.py     images -> programs: Redis, Qdrant or its stand-in, Twofold itself
    unit.py         one service: started, watched, started again, stopped
    topology.py     all of them, in the order of their dependencies
    table.py        what a person sees

The topology test drives this package too, so what it shows of the compose file is what users run.
"""
