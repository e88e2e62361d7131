"""`python -m engine.worker`: started by the server, which talks to it over stdin and stdout."""

from engine.worker.service import main

if __name__ == "__main__":
    main()
