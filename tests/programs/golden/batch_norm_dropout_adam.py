"""A training run of 20 epochs, as NumPy; it needs nothing else.

data       x (n, 2) float32   y (n,) int64, 3 classes; n is the number of rows, whatever it is
network    Linear(2, 32) -> BatchNorm1d(32) -> ReLU -> Dropout(0.2) -> Linear(32, 3)
loss       cross-entropy of softmax, mean over the batch
optimiser  Adam(0.01)
start      the numbers in initial.npz; seed 0
"""
import hashlib
import math
import os
from pathlib import Path

# Products this small are quickest on one thread; NumPy must know before it is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np


def random_words(count, seed, name, step):
    """64-bit words of NumPy's own Philox: the seed is the key, name and step say where to start."""
    stream = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    counter = np.array([0, 0, stream, step], np.uint64)
    return np.random.Philox(key=seed, counter=counter).random_raw(count)


def random_bits(shape, seed, name, step):
    """32-bit words: the two halves of each 64-bit word, low half first."""
    size = math.prod(shape)
    words = random_words((size + 1) // 2, seed, name, step)
    return words.astype("<u8", copy=False).view("<u4")[:size].reshape(shape)


def uniform(shape, dtype, seed, name, step):
    """Numbers in [0, 1): the top 24 of 32 random bits, for float64 the top 53 of 64."""
    if dtype == np.float64:
        words = random_words(math.prod(shape), seed, name, step).reshape(shape)
        return (words >> 11) * 2.0**-53
    return (random_bits(shape, seed, name, step) >> 8).astype(np.float32) * 2.0**-24


def train_step(x, y, weights, norm_running_mean, norm_running_var, grad_mean, grad_square, rate, step, seed):
    n = len(x)
    # -- forward ---------------------------------------------------------------
    # parameters: views into one vector: what updates it updates them all
    hidden_bias = weights[:32]
    hidden_weight = weights[32:96].reshape(2, 32)
    norm_weight = weights[96:128]
    norm_bias = weights[128:160]
    output_bias = weights[160:163]
    output_weight = weights[163:].reshape(32, 3)
    # hidden: Linear(2, 32)            z = x @ W + b
    hidden = x @ hidden_weight + hidden_bias
    # norm: BatchNorm1d(32)            y = w * normalised + b, normalised = (x - mean) / std
    batch_mean = hidden.mean(axis=0, keepdims=True)
    centred = hidden - batch_mean
    variance = (centred * centred).mean(axis=0, keepdims=True)
    std = np.sqrt(variance + 1e-5)
    normalised = centred / std
    norm = normalised * norm_weight + norm_bias
    # relu: ReLU                       a = max(0, z)
    relu = np.maximum(norm, 0)
    # dropout: Dropout(0.2)            y = x * keep, keep = 0 or 1 / (1 - p)
    keep = (uniform((n, 32), np.float32, seed, 'dropout', step) >= 0.2).astype(np.float32)
    keep /= 0.8
    dropout = relu * keep
    # output: Linear(32, 3)            z = x @ W + b
    output = dropout @ output_weight + output_bias
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
    d_output_weight = dropout.T @ d_output
    d_output_bias = d_output.sum(axis=0)
    d_dropout = d_output @ output_weight.T
    # dropout                          dx = dy * keep
    d_relu = d_dropout * keep
    # relu                             dz = da * (z > 0)
    d_norm = d_relu * (norm > 0)
    # norm                             dx = (d - mean(d) - normalised * mean(d * normalised)) / std, d = dy * w
    d_norm_weight = (d_norm * normalised).sum(axis=0)
    d_norm_bias = d_norm.sum(axis=0)
    d_normalised = d_norm * norm_weight
    mean_d = d_normalised.mean(axis=0, keepdims=True)
    mean_along = (d_normalised * normalised).mean(axis=0, keepdims=True)
    d_hidden = (d_normalised - mean_d - normalised * mean_along) / std
    # hidden                           dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_hidden_weight = x.T @ d_hidden
    d_hidden_bias = d_hidden.sum(axis=0)

    # -- update: Adam   w <- w - rate * mean / (sqrt(square) + eps), each divided by its weight so far
    gradient = np.concatenate([d_hidden_bias, d_hidden_weight.ravel(), d_norm_weight, d_norm_bias,
        d_output_bias, d_output_weight.ravel()])
    if not (np.isfinite(loss) and np.isfinite(gradient).all()):
        return None
    # norm: running statistics, for evaluation
    norm_running_mean *= 1 - 0.1
    norm_running_mean += batch_mean.ravel() * 0.1
    norm_running_var *= 1 - 0.1
    norm_running_var += variance.ravel() * (n / (n - 1)) * 0.1
    # weights: Adam
    grad_mean *= 0.9
    grad_mean += (1 - 0.9) * gradient
    grad_square *= 0.999
    grad_square += (1 - 0.999) * (gradient * gradient)
    scaled_rate = rate / (1 - 0.9 ** step)
    square_weight = 1 - 0.999 ** step
    weights -= scaled_rate * grad_mean / (np.sqrt(grad_square / square_weight) + 1e-8)
    return loss, correct


def evaluate(x, y, weights, norm_running_mean, norm_running_var):
    n = len(x)
    # -- forward ---------------------------------------------------------------
    # parameters: views into one vector: what updates it updates them all
    hidden_bias = weights[:32]
    hidden_weight = weights[32:96].reshape(2, 32)
    norm_weight = weights[96:128]
    norm_bias = weights[128:160]
    output_bias = weights[160:163]
    output_weight = weights[163:].reshape(32, 3)
    # hidden: Linear(2, 32)            z = x @ W + b
    hidden = x @ hidden_weight + hidden_bias
    # norm: BatchNorm1d(32)            y = w * normalised + b, normalised = (x - mean) / std
    std = np.sqrt(norm_running_var + 1e-5)
    normalised = (hidden - norm_running_mean) / std
    norm = normalised * norm_weight + norm_bias
    # relu: ReLU                       a = max(0, z)
    relu = np.maximum(norm, 0)
    # output: Linear(32, 3)            z = x @ W + b
    output = relu @ output_weight + output_bias
    # loss: cross-entropy
    #     L = -mean of log softmax(z)[y]; z less its largest first, so that exp cannot overflow
    shifted = output - output.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_probs[np.arange(n), y].mean()
    # accuracy                         how many rows are right
    correct = (output.argmax(axis=1) == y).astype(np.int64).sum()
    return loss, correct


def main():
    here = Path(__file__).parent
    start = np.load(here / 'initial.npz')
    data = np.load(here / 'data.npz')
    x, y = data['x'], data['y']
    x_val, y_val = data['x_val'], data['y_val']
    # the parameters, each with its place in the vector of weights
    parts = (
        ('hidden.bias', (32,), 0, 32),
        ('hidden.weight', (2, 32), 32, 96),
        ('norm.weight', (32,), 96, 128),
        ('norm.bias', (32,), 128, 160),
        ('output.bias', (3,), 160, 163),
        ('output.weight', (32, 3), 163, 259),
    )
    weights = np.concatenate([start[name].ravel() for name, _, _, _ in parts])
    grad_mean = np.zeros_like(weights)
    grad_square = np.zeros_like(weights)
    norm_running_mean = start['norm.running_mean']
    norm_running_var = start['norm.running_var']
    history = []
    titles = ['loss', 'accuracy', 'val_loss', 'val_accuracy']
    step = 0
    for epoch in range(1, 21):
        order = random_words(len(x), 0, 'shuffle', epoch).argsort(kind='stable')
        loss_sum = accuracy_sum = 0.0
        for first in range(0, len(x), 64):
            rows = order[first:first + 64]
            step += 1
            found = train_step(x[rows], y[rows], weights, norm_running_mean, norm_running_var, grad_mean,
                grad_square, 0.01, step, 0)
            if found is None:
                raise SystemExit(f'inf or nan in epoch {epoch}: nothing was updated')
            batch_loss, batch_accuracy = found
            loss_sum += float(batch_loss) * len(x[rows])
            accuracy_sum += float(batch_accuracy)
        row = [loss_sum / len(x), accuracy_sum / len(x)]
        val_loss_sum = val_accuracy_sum = 0.0
        for first in range(0, len(x_val), 1024):
            rows = slice(first, first + 1024)
            batch_loss, batch_accuracy = evaluate(
                x_val[rows], y_val[rows], weights, norm_running_mean, norm_running_var)
            val_loss_sum += float(batch_loss) * len(x_val[rows])
            val_accuracy_sum += float(batch_accuracy)
        row += [val_loss_sum / len(x_val), val_accuracy_sum / len(x_val)]
        history.append(row)
        row = [f'{name} {value:.6f}' for name, value in zip(titles, row)]
        print(f'epoch {epoch:>4}', *row, sep='   ')
    with open(here / 'replayed.csv', 'w', encoding='utf-8', newline='\n') as file:
        file.write(','.join(['epoch', *titles]) + '\n')
        for epoch, row in enumerate(history, 1):
            file.write(','.join([str(epoch), *[repr(value) for value in row]]) + '\n')
    final = {name: weights[a:b].reshape(shape) for name, shape, a, b in parts}
    final['norm.running_mean'] = norm_running_mean
    final['norm.running_var'] = norm_running_var
    np.savez(here / 'replayed.npz', **final)


if __name__ == "__main__":
    main()
