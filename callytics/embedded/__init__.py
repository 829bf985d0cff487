"""The local stack: real servers and every process of Callytics on one machine, without docker or root."""
