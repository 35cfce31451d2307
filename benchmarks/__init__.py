"""One table per question; `make bench` prints them all."""
