"""One training step, as NumPy.

data       x (n, 12, 8) float32   y (n,) int64, 3 classes; n is the number of rows, whatever it is
network    LSTM(8, 16) -> Linear(16, 3)
loss       cross-entropy of softmax, mean over the batch
optimiser  SGD(0.1)
"""
import numpy as np


def sigmoid(x):
    """1 / (1 + exp(-x)), written so that exp never overflows."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def train_step(x, y, weights, rate):
    n = len(x)
    # -- forward ---------------------------------------------------------------
    # parameters: views into one vector: what updates it updates them all
    lstm_bias = weights[:64]
    lstm_weight = weights[64:576].reshape(8, 64)
    lstm_recurrent = weights[576:1600].reshape(16, 64)
    output_bias = weights[1600:1603]
    output_weight = weights[1603:].reshape(16, 3)
    # lstm: LSTM(8, 16)
    #     (i, f, g, o) = x[t] @ W + h[t] @ U + b   c = s(f) * c + s(i) * tanh(g)   h = s(o) * tanh(c)
    driven = x.swapaxes(0, 1) @ lstm_weight + lstm_bias
    h = np.zeros((13, n, 16), np.float32)
    c = np.zeros((13, n, 16), np.float32)
    output_gate = np.empty((12, n, 16), np.float32)
    tanh_c = np.empty((12, n, 16), np.float32)
    candidate = np.empty((12, n, 16), np.float32)
    input_gate = np.empty((12, n, 16), np.float32)
    forget_gate = np.empty((12, n, 16), np.float32)
    for t in range(12):
        z = driven[t] + h[t] @ lstm_recurrent
        input_gate[t] = sigmoid(z[:, :16])
        forget_gate[t] = sigmoid(z[:, 16:32])
        candidate[t] = np.tanh(z[:, 32:48])
        output_gate[t] = sigmoid(z[:, 48:])
        c[t + 1] = forget_gate[t] * c[t] + input_gate[t] * candidate[t]
        tanh_c[t] = np.tanh(c[t + 1])
        h[t + 1] = output_gate[t] * tanh_c[t]
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
    d_lstm = d_output @ output_weight.T
    # lstm
    #     dc += dh * output_gate * (1 - tanh(c)^2), then dc * forget_gate   dh = dz[t] @ U.T
    d_h = d_lstm
    d_c_later = np.zeros((n, 16), np.float32)
    d_z = np.empty((12, n, 64), np.float32)
    for t in reversed(range(12)):
        d_tanh_c = d_h * output_gate[t]
        d_c = d_c_later + d_tanh_c * (1 - tanh_c[t] ** 2)
        d_input_gate = d_c * candidate[t]
        d_forget_gate = d_c * c[t]
        d_candidate = d_c * input_gate[t]
        d_output_gate = d_h * tanh_c[t]
        d_z[t] = np.concatenate([d_input_gate * (input_gate[t] * (1 - input_gate[t])),
            d_forget_gate * (forget_gate[t] * (1 - forget_gate[t])), d_candidate * (1 - candidate[t] ** 2),
            d_output_gate * (output_gate[t] * (1 - output_gate[t]))], axis=1)
        d_h, d_c_later = d_z[t] @ lstm_recurrent.T, d_c * forget_gate[t]
    d_z_rows = d_z.reshape(12 * n, 64)
    d_lstm_recurrent = h[:-1].reshape(12 * n, 16).T @ d_z_rows
    d_lstm_weight = x.swapaxes(0, 1).reshape(12 * n, 8).T @ d_z_rows
    d_lstm_bias = d_z.sum(axis=(0, 1))

    # -- update: SGD   w <- w - rate * dL/dw -----------------------------------
    gradient = np.concatenate([
        d_lstm_bias, d_lstm_weight.ravel(), d_lstm_recurrent.ravel(), d_output_bias, d_output_weight.ravel()])
    if not (np.isfinite(loss) and np.isfinite(gradient).all()):
        return None
    weights -= rate * gradient
    return loss, correct
