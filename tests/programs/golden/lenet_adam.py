"""One training step, as NumPy.

data       x (n, 1, 28, 28) float32   y (n,) int64, 10 classes; n is the number of rows, whatever it is
network    Conv2d(1, 6, 5) -> ReLU -> MaxPool2d(2) -> Conv2d(6, 16, 5) -> ReLU -> MaxPool2d(2) -> ...
loss       cross-entropy of softmax, mean over the batch
optimiser  Adam(0.001)
"""
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def taps(image, kernel, stride, dilation=(1, 1, 1)):
    """For each place in a window, row by row: the index of what all windows of x have there."""
    lines = [
        [slice(i * d, size - (k - 1 - i) * d, s) for i in range(k)]
        for size, k, s, d in zip(image, kernel, stride, dilation)
    ]
    return [(..., *[line[i] for line, i in zip(lines, place)]) for place in np.ndindex(*kernel)]


def columns(x, kernel, stride, dilation):
    """Every window of x as one column: (n, c, *image) -> (n, c * prod(kernel), prod(out))."""
    axes = range(2, x.ndim)
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    windows = sliding_window_view(x, span, axis=tuple(axes))
    every = (..., *[slice(None, None, step) for step in (*stride, *dilation)])
    windows = windows[every]
    out = windows.shape[2 : x.ndim]
    windows = np.moveaxis(windows, axes, range(-len(axes), 0))
    return windows.reshape(len(x), x.shape[1] * math.prod(kernel), math.prod(out))


def uncolumns(cols, shape, kernel, stride, dilation):
    """Each column added back where its window lay; adjoint of columns, gives an array of shape."""
    x = np.zeros(shape, cols.dtype)
    places = taps(shape[2:], kernel, stride, dilation)
    out = x[places[0]].shape[2:]
    cols = cols.reshape(*shape[:2], len(places), *out)
    for i, place in enumerate(places):
        x[place] += cols[:, :, i]
    return x


def max_pool(x, kernel, stride):
    """The largest number of each window."""
    place, *others = taps(x.shape[2:], kernel, stride)
    y = x[place].copy()
    for place in others:
        np.maximum(y, x[place], out=y)
    return y


def unpool(d, x, y, kernel, stride):
    """Gradient of max pooling y of x: each window's first maximum takes all of it."""
    d_x, free = np.zeros(x.shape, d.dtype), np.ones(y.shape, bool)
    for place in taps(x.shape[2:], kernel, stride):
        first = (x[place] == y) & free
        d_x[place] += d * first
        free &= ~first  # this window has given its gradient away
    return d_x


def train_step(x, y, weights, grad_mean, grad_square, rate, step):
    n = len(x)
    # -- forward ---------------------------------------------------------------
    # parameters: views into one vector: what updates it updates them all
    conv1_bias = weights[:6]
    conv1_weight = weights[6:156].reshape(6, 1, 5, 5)
    conv2_bias = weights[156:172]
    conv2_weight = weights[172:2572].reshape(16, 6, 5, 5)
    dense1_bias = weights[2572:2692]
    dense1_weight = weights[2692:33412].reshape(256, 120)
    dense2_bias = weights[33412:33496]
    dense2_weight = weights[33496:43576].reshape(120, 84)
    output_bias = weights[43576:43586]
    output_weight = weights[43586:].reshape(84, 10)
    # conv1: Conv2d(1, 6, 5)           z = W @ patches + b, where patches are the windows of x as columns
    conv1_patches = columns(x, (5, 5), (1, 1), (1, 1))
    conv1 = (conv1_weight.reshape(6, 25) @ conv1_patches).reshape(n, 6, 24, 24) + conv1_bias.reshape(6, 1, 1)
    # relu1: ReLU                      a = max(0, z)
    relu1 = np.maximum(conv1, 0)
    # pool1: MaxPool2d(2)              the largest number of each window
    pool1 = max_pool(relu1, (2, 2), (2, 2))
    # conv2: Conv2d(6, 16, 5)          z = W @ patches + b, where patches are the windows of x as columns
    conv2_patches = columns(pool1, (5, 5), (1, 1), (1, 1))
    conv2 = (conv2_weight.reshape(16, 150) @ conv2_patches).reshape(n, 16, 8, 8) + conv2_bias.reshape(16, 1, 1)
    # relu2: ReLU                      a = max(0, z)
    relu2 = np.maximum(conv2, 0)
    # pool2: MaxPool2d(2)              the largest number of each window
    pool2 = max_pool(relu2, (2, 2), (2, 2))
    # flat: Flatten
    flat = pool2.reshape(n, 256)
    # dense1: Linear(256, 120)         z = x @ W + b
    dense1 = flat @ dense1_weight + dense1_bias
    # relu3: ReLU                      a = max(0, z)
    relu3 = np.maximum(dense1, 0)
    # dense2: Linear(120, 84)          z = x @ W + b
    dense2 = relu3 @ dense2_weight + dense2_bias
    # relu4: ReLU                      a = max(0, z)
    relu4 = np.maximum(dense2, 0)
    # output: Linear(84, 10)           z = x @ W + b
    output = relu4 @ output_weight + output_bias
    # loss: cross-entropy
    #     L = -mean of log softmax(z)[y]; z less its largest first, so that exp cannot overflow
    shifted = output - output.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_probs[np.arange(n), y].mean()
    # accuracy                         how many rows are right
    correct = (output.argmax(axis=1) == y).astype(np.int64).sum()

    # -- backward: d_v is dL/dv, same shape as v -------------------------------
    # loss                             dz = (softmax(z) - onehot(y)) / n
    d_output = np.exp(log_probs)
    d_output[np.arange(n), y] -= 1
    d_output /= n
    # output                           dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_output_weight = relu4.T @ d_output
    d_output_bias = d_output.sum(axis=0)
    d_relu4 = d_output @ output_weight.T
    # relu4                            dz = da * (z > 0)
    d_dense2 = d_relu4 * (dense2 > 0)
    # dense2                           dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_dense2_weight = relu3.T @ d_dense2
    d_dense2_bias = d_dense2.sum(axis=0)
    d_relu3 = d_dense2 @ dense2_weight.T
    # relu3                            dz = da * (z > 0)
    d_dense1 = d_relu3 * (dense1 > 0)
    # dense1                           dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_dense1_weight = flat.T @ d_dense1
    d_dense1_bias = d_dense1.sum(axis=0)
    d_flat = d_dense1 @ dense1_weight.T
    # flat
    d_pool2 = d_flat.reshape(n, 16, 4, 4)
    # pool2                            dx = dy at each window's first largest
    d_relu2 = unpool(d_pool2, relu2, pool2, (2, 2), (2, 2))
    # relu2                            dz = da * (z > 0)
    d_conv2 = d_relu2 * (conv2 > 0)
    # conv2
    #     db = sum of dz   dW = dz @ patches.T   dx = W.T @ dz, each patch added back
    d_conv2_bias = d_conv2.reshape(n, 16, 64).sum(axis=2).sum(axis=0)
    conv2_by_image = d_conv2.reshape(n, 16, 64) @ conv2_patches.swapaxes(-1, -2)
    d_conv2_weight = conv2_by_image.sum(axis=0).reshape(16, 6, 5, 5)
    d_conv2_patches = conv2_weight.reshape(16, 150).T @ d_conv2.reshape(n, 16, 64)
    d_pool1 = uncolumns(d_conv2_patches, (n, 6, 12, 12), (5, 5), (1, 1), (1, 1))
    # pool1                            dx = dy at each window's first largest
    d_relu1 = unpool(d_pool1, relu1, pool1, (2, 2), (2, 2))
    # relu1                            dz = da * (z > 0)
    d_conv1 = d_relu1 * (conv1 > 0)
    # conv1
    #     db = sum of dz   dW = dz @ patches.T   dx = W.T @ dz, each patch added back
    d_conv1_bias = d_conv1.reshape(n, 6, 576).sum(axis=2).sum(axis=0)
    conv1_by_image = d_conv1.reshape(n, 6, 576) @ conv1_patches.swapaxes(-1, -2)
    d_conv1_weight = conv1_by_image.sum(axis=0).reshape(6, 1, 5, 5)

    # -- update: Adam   w <- w - rate * mean / (sqrt(square) + eps), each divided by its weight so far
    gradient = np.concatenate([d_conv1_bias, d_conv1_weight.ravel(), d_conv2_bias, d_conv2_weight.ravel(),
        d_dense1_bias, d_dense1_weight.ravel(), d_dense2_bias, d_dense2_weight.ravel(), d_output_bias,
        d_output_weight.ravel()])
    if not (np.isfinite(loss) and np.isfinite(gradient).all()):
        return None
    grad_mean *= 0.9
    grad_mean += (1 - 0.9) * gradient
    grad_square *= 0.999
    grad_square += (1 - 0.999) * (gradient * gradient)
    scaled_rate = rate / (1 - 0.9 ** step)
    square_weight = 1 - 0.999 ** step
    weights -= scaled_rate * grad_mean / (np.sqrt(grad_square / square_weight) + 1e-8)
    return loss, correct
