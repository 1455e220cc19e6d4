"""The native protocol: messages, frames and the rules of a conversation. Normative text: spec/.

Begin with `messages` (all there is to say) and `transitions` (who may say it when); `codec` makes
bytes of them, `connection` is one end of a conversation, for both sides and without a socket.
"""
