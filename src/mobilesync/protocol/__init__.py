"""The native protocol: messages, frames and the rules of a conversation. Normative text: spec/."""
