"""A training run of 300 epochs, as NumPy; it needs nothing else.

data       x (n, 2) float32   y (n,) int64, 3 classes; n is the number of rows, whatever it is
network    Linear(2, 64) -> ReLU -> Linear(64, 3)
loss       cross-entropy of softmax, mean over the batch
optimiser  Adam(0.01)
start      the numbers in initial.npz; seed 0
"""
import hashlib
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


def train_step(x, y, weights, grad_mean, grad_square, rate, step):
    n = len(x)
    # -- forward ---------------------------------------------------------------
    # parameters: views into one vector: what updates it updates them all
    hidden_bias = weights[:64]
    hidden_weight = weights[64:192].reshape(2, 64)
    output_bias = weights[192:195]
    output_weight = weights[195:].reshape(64, 3)
    # hidden: Linear(2, 64)            z = x @ W + b
    hidden = x @ hidden_weight + hidden_bias
    # relu: ReLU                       a = max(0, z)
    relu = np.maximum(hidden, 0)
    # output: Linear(64, 3)            z = x @ W + b
    output = relu @ output_weight + output_bias
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
    d_output_weight = relu.T @ d_output
    d_output_bias = d_output.sum(axis=0)
    d_relu = d_output @ output_weight.T
    # relu                             dz = da * (z > 0)
    d_hidden = d_relu * (hidden > 0)
    # hidden                           dW = x.T @ dz   db = sum of dz   dx = dz @ W.T
    d_hidden_weight = x.T @ d_hidden
    d_hidden_bias = d_hidden.sum(axis=0)

    # -- update: Adam   w <- w - rate * mean / (sqrt(square) + eps), each divided by its weight so far
    gradient = np.concatenate([d_hidden_bias, d_hidden_weight.ravel(), d_output_bias, d_output_weight.ravel()])
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


def main():
    here = Path(__file__).parent
    start = np.load(here / 'initial.npz')
    data = np.load(here / 'data.npz')
    x, y = data['x'], data['y']
    # the parameters, each with its place in the vector of weights
    parts = (
        ('hidden.bias', (64,), 0, 64),
        ('hidden.weight', (2, 64), 64, 192),
        ('output.bias', (3,), 192, 195),
        ('output.weight', (64, 3), 195, 387),
    )
    weights = np.concatenate([start[name].ravel() for name, _, _, _ in parts])
    grad_mean = np.zeros_like(weights)
    grad_square = np.zeros_like(weights)
    history = []
    titles = ['loss', 'accuracy']
    step = 0
    for epoch in range(1, 301):
        order = random_words(len(x), 0, 'shuffle', epoch).argsort(kind='stable')
        loss_sum = accuracy_sum = 0.0
        for first in range(0, len(x), 32):
            rows = order[first:first + 32]
            step += 1
            found = train_step(x[rows], y[rows], weights, grad_mean, grad_square, 0.01, step)
            if found is None:
                raise SystemExit(f'inf or nan in epoch {epoch}: nothing was updated')
            batch_loss, batch_accuracy = found
            loss_sum += float(batch_loss) * len(x[rows])
            accuracy_sum += float(batch_accuracy)
        row = [loss_sum / len(x), accuracy_sum / len(x)]
        history.append(row)
        row = [f'{name} {value:.6f}' for name, value in zip(titles, row)]
        print(f'epoch {epoch:>4}', *row, sep='   ')
    with open(here / 'replayed.csv', 'w', encoding='utf-8', newline='\n') as file:
        file.write(','.join(['epoch', *titles]) + '\n')
        for epoch, row in enumerate(history, 1):
            file.write(','.join([str(epoch), *[repr(value) for value in row]]) + '\n')
    final = {name: weights[a:b].reshape(shape) for name, shape, a, b in parts}
    np.savez(here / 'replayed.npz', **final)


if __name__ == "__main__":
    main()
