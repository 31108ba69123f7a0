"""What Typist does, in terms of core and ports: each service is one behaviour."""
