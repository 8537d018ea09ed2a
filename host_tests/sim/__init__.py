"""The whole agent, deterministic and in virtual time: see README.md."""
