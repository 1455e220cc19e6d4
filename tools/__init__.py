"""What builds and watches the project, and is not shipped."""
