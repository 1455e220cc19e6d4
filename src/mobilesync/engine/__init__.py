"""The service without a network: publish, append, wake, pump, push, ack, advance, trim."""
