"""Services: what Typist does, in terms of core and ports. Each module is one behavior."""
