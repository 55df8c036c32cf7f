"""What a layer does, shown on the user's own picture: fixed filters, and one convolution and pooling step by step."""
