"""How fast data are read and prepared (`speed`, `tonic`), and how near the simulated camera is to a real one
(`camera`)."""
