"""Files and requests of people who mean harm, made in code, through the real entrances."""
