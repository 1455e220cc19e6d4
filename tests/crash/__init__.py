"""What Mobilesync promises when the machine is taken away in the middle: real kills, real cuts."""
