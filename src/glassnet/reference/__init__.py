"""Every layer forward and backward in plain NumPy, by the book: slow, readable, the oracle of the tests.

Nothing here is fast and nothing else in glassnet uses it. It is for whoever wants to check a framework's gradient with
a pencil, and for the tests that hold glassnet's layers to the formulas. It imports only NumPy.

    arrays.py             what an array may hold
    windows.py            where a kernel looks: padding, stride, dilation
    convolution.py        convolution in groups
    pooling.py            maximum and average
    dense.py              the fully connected layer
    activations.py        ReLU, sigmoid, tanh
    normalisation.py      batch normalisation, local response normalisation
    dropout.py            inverted dropout
    joining.py            flatten, residual addition, concatenation
    losses.py             softmax and cross-entropy
    finite_differences.py the gradient of anything, by trying
    lenet5.py, train.py   a whole network and its training, out of the above

Every `..._forward` returns `(output, cache)`, where the cache is a tuple of what the backward step needs; every
`..._backward` takes the gradient of the output and that cache. A layer computes z from the activation a_prev of the
layer before, and a = g(z) follows: so `dz` is the gradient of the loss with respect to z, and the backward step of a
layer turns dz into dW, db and da_prev. Pictures are (N, C, H, W) everywhere: pictures, channels, rows, columns.
"""
