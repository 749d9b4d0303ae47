"""One training step, as NumPy.

data       x (n, 12, 8) float32   y (n,) int64, 3 classes; n is the number of rows, whatever it is
network    RNN(8, 16) -> Linear(16, 3)
loss       cross-entropy of softmax, mean over the batch
optimiser  SGD(0.1)
"""
import numpy as np


def train_step(x, y, weights, rate):
    n = len(x)
    # -- forward ---------------------------------------------------------------
    # parameters: views into one vector: what updates it updates them all
    rnn_bias = weights[:16]
    rnn_weight = weights[16:144].reshape(8, 16)
    rnn_recurrent = weights[144:400].reshape(16, 16)
    output_bias = weights[400:403]
    output_weight = weights[403:].reshape(16, 3)
    # rnn: RNN(8, 16)
    #     h[t + 1] = tanh(x[t] @ W + h[t] @ U + b), h[0] = 0, U is the recurrent weight
    driven = x.swapaxes(0, 1) @ rnn_weight + rnn_bias
    h = np.zeros((13, n, 16), np.float32)
    for t in range(12):
        z = driven[t] + h[t] @ rnn_recurrent
        h[t + 1] = np.tanh(z)
    # output: Linear(16, 3)            z = x @ W + b
    output = h[-1] @ output_weight + output_bias
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
    d_output_weight = h[-1].T @ d_output
    d_output_bias = d_output.sum(axis=0)
    d_rnn = d_output @ output_weight.T
    # rnn
    #     dz[t] = dh[t + 1] * (1 - h[t + 1]^2)   dh[t] = dz[t] @ U.T   dU = sum of h[t].T @ dz[t]
    d_h = d_rnn
    d_z = np.empty((12, n, 16), np.float32)
    for t in reversed(range(12)):
        d_z[t] = d_h * (1 - h[t + 1] ** 2)
        d_h = d_z[t] @ rnn_recurrent.T
    d_z_rows = d_z.reshape(12 * n, 16)
    d_rnn_recurrent = h[:-1].reshape(12 * n, 16).T @ d_z_rows
    d_rnn_weight = x.swapaxes(0, 1).reshape(12 * n, 8).T @ d_z_rows
    d_rnn_bias = d_z.sum(axis=(0, 1))

    # -- update: SGD   w <- w - rate * dL/dw -----------------------------------
    gradient = np.concatenate([
        d_rnn_bias, d_rnn_weight.ravel(), d_rnn_recurrent.ravel(), d_output_bias, d_output_weight.ravel()])
    if not (np.isfinite(loss) and np.isfinite(gradient).all()):
        return None
    weights -= rate * gradient
    return loss, correct
