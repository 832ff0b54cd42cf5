"""Wrong code of many hands: each mistake gets its message, and no other."""

# ruff: noqa: B905, NPY002 (written as beginners write)

import math

import numpy as np
import pytest
from wrong_code import WrongCode

from cnnbook import ladder_training
from cnnbook.checking import examine
from cnnbook.exercises import find
from cnnbook.fast import conv2d, conv2d_backward, max_pool2d, max_pool2d_backward
from cnnbook.layers import linear, linear_backward, relu
from cnnbook.losses import CrossEntropyLoss
from cnnbook.optimizers import Adam

wrong, right = WrongCode(), WrongCode()


# momentum


@wrong("momentum", "velocity ignored")
def plain_descent(weights, velocity, gradient, lr, momentum):
    return weights - lr * gradient, gradient.copy()


@wrong("momentum", "velocity ignored")
def velocity_not_updated(weights, velocity, gradient, lr, momentum):
    new = []
    for w, v, g in zip(weights.ravel(), velocity.ravel(), gradient.ravel()):
        new.append(w - lr * (momentum * v + g))
    return np.array(new).reshape(weights.shape), velocity


@wrong("momentum", "velocity ignored")
def velocity_updated_and_unused(weights, velocity, gradient, lr, momentum):
    velocity = velocity * momentum + gradient
    step = lr * gradient
    return weights - step, velocity


@wrong("momentum", "old velocity")
def weights_first(weights, velocity, gradient, lr, momentum):
    weights = weights - lr * velocity
    velocity = momentum * velocity + gradient
    return weights, velocity


@wrong("momentum", "old velocity")
def gradient_forgotten_in_the_step(weights, velocity, gradient, lr, momentum):
    faded = np.multiply(velocity, momentum)
    return np.subtract(weights, lr * faded), np.add(faded, gradient)


@wrong("momentum", "uphill")
def up(weights, velocity, gradient, lr, momentum):
    v = momentum * velocity + gradient
    return weights + lr * v, v


@wrong("momentum", "uphill")
def two_minuses(weights, velocity, gradient, lr, momentum):
    v = gradient + velocity * momentum
    step = -lr * v
    return weights - step, v


@wrong("momentum", "rate in the velocity")
def another_course(weights, velocity, gradient, lr, momentum):
    v = momentum * velocity - lr * gradient
    return weights + v, v


@wrong("momentum", "rate in the velocity")
def rate_with_the_gradient(weights, velocity, gradient, lr, momentum):
    v = velocity.copy()
    v *= momentum
    v += lr * gradient
    return weights - v, v


@wrong("momentum", "rate in the velocity")
def rate_kept_in_it(weights, velocity, gradient, lr, momentum):
    step = lr * (momentum * velocity + gradient)
    return weights - step, step


@wrong("momentum", "velocity downhill")
def towards_the_valley(weights, velocity, gradient, lr, momentum):
    v = momentum * velocity - gradient
    return weights + lr * v, v


@wrong("momentum", "velocity downhill")
def downhill_in_a_loop(weights, velocity, gradient, lr, momentum):
    v = np.empty_like(gradient)
    for place in np.ndindex(v.shape):
        v[place] = -gradient[place] + momentum * velocity[place]
    return weights + v * lr, v


@wrong("momentum", "share of the gradient")
def as_a_mean(weights, velocity, gradient, lr, momentum):
    v = momentum * velocity + (1 - momentum) * gradient
    return weights - lr * v, v


@wrong("momentum", "share of the gradient")
def towards_the_gradient(weights, velocity, gradient, lr, momentum):
    v = gradient + momentum * (velocity - gradient)
    return weights - lr * v, v


@wrong("momentum", "momentum elsewhere")
def never_fades(weights, velocity, gradient, lr, momentum):
    v = velocity + gradient
    return weights - lr * v, v


@wrong("momentum", "momentum elsewhere")
def momentum_of_the_gradient(weights, velocity, gradient, lr, momentum):
    v = velocity + momentum * gradient
    return weights - lr * v, v


@wrong("momentum", "momentum elsewhere")
def parentheses(weights, velocity, gradient, lr, momentum):
    v = momentum * (velocity + gradient)
    return weights - lr * v, v


@wrong("momentum", "Nesterov")
def ahead(weights, velocity, gradient, lr, momentum):
    v = momentum * velocity + gradient
    return weights - lr * (gradient + momentum * v), v


@wrong("momentum", "Nesterov")
def ahead_in_two_steps(weights, velocity, gradient, lr, momentum):
    v = momentum * velocity + gradient
    there = weights - lr * gradient
    return there - lr * momentum * v, v


@wrong("momentum", "changed input")
def in_place(weights, velocity, gradient, lr, momentum):
    velocity *= momentum
    velocity += gradient
    weights -= lr * velocity
    return weights, velocity


@wrong("momentum", "parts")
def weights_only(weights, velocity, gradient, lr, momentum):
    return weights - lr * (momentum * velocity + gradient)


@wrong("momentum", "integer output")
def like_the_weights(weights, velocity, gradient, lr, momentum):
    v = momentum * velocity + gradient
    new = np.zeros_like(weights)
    new[...] = weights - lr * v
    return new, v


@wrong("momentum", "wrong dtype")
def zeros_of_float64(weights, velocity, gradient, lr, momentum):
    v = np.zeros(weights.shape)
    v += momentum * velocity + gradient
    return weights - lr * v, v


@right("momentum", None)
def lists(weights, velocity, gradient, lr, momentum):
    v = np.array([momentum * a + b for a, b in zip(velocity, gradient)])
    return weights - (lr * v).astype(v.dtype), v.astype(gradient.dtype)


# Adam


class Rule:
    """Adam as a class, with methods to spoil."""

    def __call__(self, weights, mean, square, gradient, step, lr, beta1, beta2, eps):
        self.lr, self.eps, self.step = lr, eps, step
        self.b1, self.b2 = beta1, beta2
        mean = self.blend(mean, gradient, beta1)
        square = self.blend(square, self.power(gradient), beta2)
        m, v = self.correct(mean, beta1), self.correct(square, beta2)
        return (self.move(weights, m, v), mean, square)

    def blend(self, old, new, beta):
        return old + (1 - beta) * (new - old)

    def power(self, gradient):
        return gradient * gradient

    def correct(self, mean, beta):
        return mean / (1 - beta**self.step)

    def move(self, weights, m, v):
        return weights - self.lr * m / (v**0.5 + self.eps)


def spoiled(mistake):
    """Mark a Rule, as a function of its name."""

    def mark(cls):
        def solution(*arguments):
            return cls()(*arguments)

        solution.__name__ = cls.__name__
        return wrong("adam", mistake)(solution)

    return mark


@spoiled("no bias correction")
class Uncorrected(Rule):
    def correct(self, mean, beta):
        return mean


@wrong("adam", "no bias correction")
def half_corrected(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    hat = mean / (1 - beta1**step)
    return weights - lr * hat / (np.sqrt(square) + eps), mean, square


@wrong("adam", "no bias correction")
def other_half(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    rate = lr * np.sqrt(1 - beta2**step)
    spread = np.sqrt(square) + eps * np.sqrt(1 - beta2**step)
    return weights - rate * mean / spread, mean, square


@spoiled("count of the steps")
class FromZero(Rule):
    def correct(self, mean, beta):
        return mean / (1 - beta ** (self.step - 1))


@wrong("adam", "count of the steps")
def one_more(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    step = step + 1
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    m = mean / (1 - np.power(beta1, step))
    v = square / (1 - np.power(beta2, step))
    return weights - lr * m / (np.sqrt(v) + eps), mean, square


@spoiled("count of the steps")
class AlwaysTheFirst(Rule):
    def correct(self, mean, beta):
        return mean / (1 - beta)


@spoiled("count of the steps")
class Times(Rule):
    def correct(self, mean, beta):
        return mean / (1 - beta * self.step)


@spoiled("epsilon")
class UnderTheRoot(Rule):
    def move(self, weights, m, v):
        return weights - self.lr * m / np.sqrt(v + self.eps)


@wrong("adam", "epsilon")
def before_the_correction(weights, mean, square, gradient, step, lr, b1, b2, eps):
    mean = b1 * mean + (1 - b1) * gradient
    square = b2 * square + (1 - b2) * gradient**2
    rate = lr * math.sqrt(1 - b2**step) / (1 - b1**step)
    return weights - rate * mean / (np.sqrt(square) + eps), mean, square


@spoiled("epsilon")
class NoEpsilon(Rule):
    def move(self, weights, m, v):
        return weights - self.lr * m * v**-0.5


@spoiled("not squared")
class Gradient(Rule):
    def power(self, gradient):
        return gradient


@wrong("adam", "not squared")
def absolute(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * abs(gradient)
    m, v = mean / (1 - beta1**step), square / (1 - beta2**step)
    return weights - lr * m / (np.sqrt(v) + eps), mean, square


@spoiled("no root")
class Divided(Rule):
    def move(self, weights, m, v):
        return weights - self.lr * m / (v + self.eps)


@wrong("adam", "no root")
def element_by_element(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    new = np.array(weights, float)
    for i in np.ndindex(new.shape):
        hat = mean[i] / (1 - beta1**step)
        size = square[i] / (1 - beta2**step) + eps
        new[i] -= lr * hat / size
    return new, mean, square


@wrong("adam", "corrected means kept")
def overwritten(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    mean = mean / (1 - beta1**step)
    square = square / (1 - beta2**step)
    return weights - lr * mean / (np.sqrt(square) + eps), mean, square


@spoiled("corrected means kept")
class Kept(Rule):
    def blend(self, old, new, beta):
        return super().correct(super().blend(old, new, beta), beta)

    def correct(self, mean, beta):
        return mean


@wrong("adam", "betas mixed up")
def one_beta(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta1 * square + (1 - beta1) * gradient**2
    m, v = mean / (1 - beta1**step), square / (1 - beta1**step)
    return weights - lr * m / (np.sqrt(v) + eps), mean, square


@spoiled("betas mixed up")
class Exchanged(Rule):
    def blend(self, old, new, beta):
        return (1 - beta) * old + beta * new


@wrong("adam", "betas mixed up")
def swapped_betas(weights, mean, square, gradient, step, lr, beta2, beta1, eps):
    mean = mean * beta1 + gradient * (1 - beta1)
    square = square * beta2 + gradient**2 * (1 - beta2)
    m, v = mean / (1 - beta1**step), square / (1 - beta2**step)
    return weights - lr * m / (np.sqrt(v) + eps), mean, square


@spoiled("uphill")
class Upwards(Rule):
    def move(self, weights, m, v):
        return weights + self.lr * m / (np.sqrt(v) + self.eps)


@wrong("adam", "uphill")
def minus_minus(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    m, v = mean / (1 - beta1**step), square / (1 - beta2**step)
    move = -lr * m / (np.sqrt(v) + eps)
    return weights - move, mean, square


@spoiled("epsilon")
class NoEpsilonAtAll(Rule):
    def move(self, weights, m, v):
        return weights - self.lr * m / np.sqrt(v)


@spoiled("parentheses")
class RootAlone(Rule):
    def move(self, weights, m, v):
        return weights - self.lr * m / np.sqrt(v) + self.eps


@wrong("adam", "parentheses")
def epsilon_in_the_move(weights, mean, square, gradient, step, lr, b1, b2, eps):
    mean = b1 * mean + (1 - b1) * gradient
    square = b2 * square + (1 - b2) * gradient**2
    m, s = mean / (1 - b1**step), square / (1 - b2**step)
    return weights - lr * (m / np.sqrt(s) + eps), mean, square


@spoiled("gradient instead of the mean")
class AlongTheGradient(Rule):
    def power(self, gradient):
        self.gradient = gradient
        return gradient**2

    def move(self, weights, m, v):
        return weights - self.lr * self.gradient / (np.sqrt(v) + self.eps)


@wrong("adam", "gradient instead of the mean")
def divides_the_gradient(weights, mean, square, gradient, step, lr, b1, b2, eps):
    mean = b1 * mean + (1 - b1) * gradient
    square = b2 * square + (1 - b2) * gradient**2
    s = square / (1 - b2**step)
    weights = weights - lr / (s**0.5 + eps) * gradient
    return weights, mean, square


@wrong("adam", "betas mixed up")
def first_exchanged(weights, mean, square, gradient, step, lr, b1, b2, eps):
    mean = (1 - b1) * mean + b1 * gradient
    square = b2 * square + (1 - b2) * gradient**2
    m, s = mean / (1 - b1**step), square / (1 - b2**step)
    return weights - lr * m / (np.sqrt(s) + eps), mean, square


@wrong("adam", "betas mixed up")
def second_exchanged(weights, mean, square, gradient, step, lr, b1, b2, eps):
    mean = b1 * mean + (1 - b1) * gradient
    square = (1 - b2) * square + b2 * gradient**2
    m, s = mean / (1 - b1**step), square / (1 - b2**step)
    return weights - lr * m / (np.sqrt(s) + eps), mean, square


@wrong("adam", "changed input")
def means_in_place(weights, mean, square, gradient, step, lr, beta1, beta2, eps):
    mean *= beta1
    mean += (1 - beta1) * gradient
    square *= beta2
    square += (1 - beta2) * gradient**2
    m, v = mean / (1 - beta1**step), square / (1 - beta2**step)
    return weights - lr * m / (np.sqrt(v) + eps), mean, square


@right("adam", None)
def rule(*arguments):
    return Rule()(*arguments)


# a rate that falls


@wrong("cosine_schedule", "degrees")
def in_degrees(step, steps, highest, lowest):
    angle = 180 * min(step / steps, 1)
    return lowest + (highest - lowest) / 2 * (1 + np.cos(angle))


@wrong("cosine_schedule", "degrees")
def in_degrees_with_math(step, steps, highest, lowest):
    if step >= steps:
        return lowest
    wave = 0.5 + 0.5 * math.cos(step * 180.0 / steps)
    return wave * highest + (1 - wave) * lowest


@wrong("cosine_schedule", "not half a wave")
def quarter(step, steps, highest, lowest):
    angle = np.pi / 2 * min(step / steps, 1)
    return lowest + (highest - lowest) * (1 + np.cos(angle)) / 2


@wrong("cosine_schedule", "not half a wave")
def whole(step, steps, highest, lowest):
    return lowest + (highest - lowest) * (1 + math.cos(2 * math.pi * step / steps)) / 2


@wrong("cosine_schedule", "not half a wave")
def no_pi(step, steps, highest, lowest):
    t = step / steps
    return lowest + 0.5 * (highest - lowest) * (1 + np.cos(t))


@wrong("cosine_schedule", "not half a wave")
def one_forgotten(step, steps, highest, lowest):
    return lowest + (highest - lowest) * math.cos(math.pi * min(step / steps, 1))


@wrong("cosine_schedule", "after the end")
def swings_on(step, steps, highest, lowest):
    return lowest + (highest - lowest) * (1 + np.cos(np.pi * step / steps)) / 2


@wrong("cosine_schedule", "after the end")
def warm_restarts(step, steps, highest, lowest):
    wave = (1 + math.cos(math.pi * (step % steps) / steps)) / 2
    return wave * (highest - lowest) + lowest


@wrong("cosine_schedule", "after the end")
def zero_after_it(step, steps, highest, lowest):
    rate = 0.0
    if step < steps:
        rate = lowest + (highest - lowest) * (1 + np.cos(np.pi * step / steps)) / 2
    return rate


@wrong("cosine_schedule", "upwards")
def minus(step, steps, highest, lowest):
    share = min(1, step / steps)
    return lowest + (highest - lowest) * (1 - np.cos(np.pi * share)) / 2


@wrong("cosine_schedule", "upwards")
def from_the_lowest(step, steps, highest, lowest):
    wave = math.cos(math.pi * min(1, step / steps) / 2) ** 2
    return wave * lowest + (1 - wave) * highest


@wrong("cosine_schedule", "off by one")
def last_step_is_the_end(step, steps, highest, lowest):
    share = min(step / (steps - 1), 1)
    return lowest + (highest - lowest) * (1 + np.cos(np.pi * share)) / 2


@wrong("cosine_schedule", "off by one")
def counting_from_one(step, steps, highest, lowest):
    angles = np.linspace(0, np.pi, steps + 1)
    step = min(step + 1, steps)
    return lowest + (highest - lowest) * (1 + np.cos(angles[step])) / 2


@wrong("cosine_schedule", "off by one")
def table_that_is_too_short(step, steps, highest, lowest):
    table = (1 + np.cos(np.linspace(0, np.pi, steps))) / 2
    return lowest + (highest - lowest) * table[min(step, steps - 1)]


@wrong("cosine_schedule", "whole division")
def cut(step, steps, highest, lowest):
    share = min(step // steps, 1)
    return lowest + (highest - lowest) * (1 + np.cos(np.pi * share)) / 2


@wrong("cosine_schedule", "whole division")
def to_int(step, steps, highest, lowest):
    angle = int(step / steps) * math.pi
    return lowest + (highest - lowest) * 0.5 * (1 + math.cos(angle))


@wrong("cosine_schedule", "lowest rate")
def limit(step, steps, highest, lowest):
    share = min(step / steps, 1)
    return max(lowest, highest * (1 + np.cos(np.pi * share)) / 2)


@wrong("cosine_schedule", "lowest rate")
def to_zero(step, steps, highest, lowest):
    share = min(step / steps, 1)
    return highest * np.cos(np.pi * share / 2) ** 2


@wrong("cosine_schedule", "lowest rate")
def on_top(step, steps, highest, lowest):
    share = min(step / steps, 1)
    return lowest + highest / 2 * (1 + math.cos(math.pi * share))


@wrong("cosine_schedule", "unknown")
def straight(step, steps, highest, lowest):
    return highest + (lowest - highest) * min(step / steps, 1)


@wrong("cosine_schedule", "nothing")
def printed(step, steps, highest, lowest):
    rate = lowest + (highest - lowest) * (1 + np.cos(np.pi * step / steps)) / 2
    print(end=f"{rate}"[:0])


# how many are right


@wrong("accuracy", "whole division")
def floor_of_the_share(y_true, y_pred):
    return sum(y_true == y_pred) // len(y_true)


@wrong("accuracy", "whole division")
def int_of_the_share(y_true, y_pred):
    right = 0
    for i in range(len(y_true)):
        if y_true[i] == y_pred[i]:
            right += 1
    return int(right / len(y_true))


@wrong("accuracy", "count")
def counted(y_true, y_pred):
    count = 0
    for a, b in zip(y_true, y_pred):
        count += a == b
    return count


@wrong("accuracy", "count")
def nonzero(y_true, y_pred):
    return float(np.count_nonzero(np.equal(y_true, y_pred)))


@wrong("accuracy", "error rate")
def differ(y_true, y_pred):
    return (y_true != y_pred).mean()


@wrong("accuracy", "error rate")
def errors(y_true, y_pred):
    wrong = [1 for a, b in zip(y_true, y_pred) if a - b]
    return len(wrong) / len(y_true)


@wrong("accuracy", "percent")
def hundred(y_true, y_pred):
    return 100 * sum(y_true == y_pred) / len(y_true)


@wrong("accuracy", "percent")
def percent(y_true, y_pred):
    hits = [100.0 if a == b else 0.0 for a, b in zip(y_true, y_pred)]
    return sum(hits) / len(hits)


@wrong("accuracy", "mean of the classes")
def by_class(y_true, y_pred):
    return np.mean([np.mean(y_pred[y_true == c] == c) for c in np.unique(y_true)])


@wrong("accuracy", "mean of the classes")
def by_class_in_a_dict(y_true, y_pred):
    found = {}
    for a, b in zip(y_true.tolist(), y_pred.tolist()):
        found.setdefault(a, []).append(a == b)
    return sum(sum(hits) / len(hits) for hits in found.values()) / len(found)


@wrong("accuracy", "unknown")
def each(y_true, y_pred):
    return y_true == y_pred


@right("accuracy", None)
def trace(y_true, y_pred):
    return np.trace(np.equal.outer(y_true, y_pred)) / len(y_true)


@wrong("confusion_matrix", "rows and columns swapped")
def predictions_in_rows(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes))
    for a, b in zip(y_true, y_pred):
        matrix[b][a] += 1
    return matrix


@wrong("confusion_matrix", "rows and columns swapped")
def numbered(y_true, y_pred, classes):
    places = y_pred * classes + y_true
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)


@wrong("confusion_matrix", "counted once")
def fancy(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes), int)
    matrix[y_true, y_pred] += 1
    return matrix


@wrong("confusion_matrix", "counted once")
def set_to_one(y_true, y_pred, classes):
    matrix = [[0] * classes for _ in range(classes)]
    for a, b in zip(y_true, y_pred):
        matrix[a][b] = 1
    return matrix


@wrong("confusion_matrix", "shares")
def of_its_row(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (y_true, y_pred), 1)
    return matrix / matrix.sum(axis=1)[:, None]


@wrong("confusion_matrix", "shares")
def of_all(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes))
    for a, b in zip(y_true, y_pred):
        matrix[a, b] += 1 / len(y_true)
    return matrix


@wrong("confusion_matrix", "shares")
def of_its_column(y_true, y_pred, classes):
    one_hot = np.eye(classes)
    matrix = one_hot[y_true].T @ one_hot[y_pred]
    return matrix / np.sum(matrix, axis=0)


@wrong("confusion_matrix", "only some pairs")
def mistakes_only(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes), int)
    for a, b in zip(y_true, y_pred):
        if a != b:
            matrix[a, b] += 1
    return matrix


@wrong("confusion_matrix", "only some pairs")
def diagonal(y_true, y_pred, classes):
    return np.diag([np.sum((y_true == c) & (y_pred == c)) for c in range(classes)])


@wrong("confusion_matrix", "missing classes")
def as_many_as_occur(y_true, y_pred, classes):
    size = max(y_true.max(), y_pred.max()) + 1
    matrix = np.zeros((size, size), int)
    for a, b in zip(y_true, y_pred):
        matrix[a, b] += 1
    return matrix


@wrong("confusion_matrix", "missing classes")
def those_that_occur(y_true, y_pred, classes):
    names = sorted(set(y_true) | set(y_pred))
    return np.array(
        [[np.sum((y_true == a) & (y_pred == b)) for b in names] for a in names]
    )


@wrong("confusion_matrix", "error")
def too_small(y_true, y_pred, classes):
    matrix = np.zeros((classes - 1, classes - 1), int)
    for a, b in zip(y_true, y_pred):
        matrix[a, b] += 1
    return matrix


@wrong("evaluate_batches", "whole division")
def floor_over_batches(predict, images, labels, batch_size):
    right = 0
    for s in range(0, len(images), batch_size):
        e = s + batch_size
        right += np.sum(predict(images[s:e]) == labels[s:e])
    return right // len(images)


@wrong("evaluate_batches", "whole division")
def floor_of_answers(predict, images, labels, batch_size):
    answers = [int(predict(x[None])[0]) for x in images]
    return [a == b for a, b in zip(answers, labels)].count(True) // len(labels)


@wrong("evaluate_batches", "one batch only")
def slice_without_start(predict, images, labels, batch_size):
    right = 0
    for s in range(0, len(images), batch_size):
        right += (predict(images[s:batch_size]) == labels[s:batch_size]).sum()
    return right / len(images)


@wrong("evaluate_batches", "one batch only")
def slice_without_start_in_a_loop(predict, images, labels, batch_size):
    right = 0
    for s in range(0, len(images), batch_size):
        for a, b in zip(predict(images[s:batch_size]), labels[s:batch_size]):
            if a == b:
                right += 1
    return right / len(images)


@wrong("evaluate_batches", "last batch taken as full")
def number_of_batches(predict, images, labels, batch_size):
    right = n_batches = 0
    for s in range(0, len(images), batch_size):
        e = s + batch_size
        right += np.sum(predict(images[s:e]) == labels[s:e])
        n_batches += 1
    return right / (n_batches * batch_size)


@wrong("evaluate_batches", "last batch taken as full")
def counts_whole_batches(predict, images, labels, batch_size):
    right, seen, s = 0, 0, 0
    while s < len(images):
        predicted = predict(images[s : s + batch_size])
        for k in range(len(predicted)):
            right += predicted[k] == labels[s + k]
        s += batch_size
        seen += batch_size
    return right / seen


@wrong("evaluate_batches", "overlapping batches")
def range_without_a_step(predict, images, labels, batch_size):
    right = 0
    for s in range(len(images)):
        e = s + batch_size
        right += np.sum(predict(images[s:e]) == labels[s:e])
    return right / len(images)


@wrong("evaluate_batches", "overlapping batches")
def number_as_start(predict, images, labels, batch_size):
    right = []
    for k in range(len(images) // batch_size):
        part = slice(k, k + batch_size)
        right.extend(predict(images[part]) == labels[part])
    return np.mean(right)


@wrong("evaluate_batches", "overlapping batches")
def one_further_each_time(predict, images, labels, batch_size):
    right = total = s = 0
    while s < len(images):
        x, y = images[s : s + batch_size], labels[s : s + batch_size]
        right += sum(predict(x) == y)
        total += len(y)
        s += 1
    return right / total


@wrong("evaluate_batches", "labels of another batch")
def first_labels(predict, images, labels, batch_size):
    right = 0
    for s in range(0, len(images), batch_size):
        answers = predict(images[s : s + batch_size])
        right += np.sum(answers == labels[:batch_size])
    return right / len(images)


@wrong("evaluate_batches", "labels of another batch")
def labels_counted_anew(predict, images, labels, batch_size):
    right = 0
    for s in range(0, len(images), batch_size):
        for k, answer in enumerate(predict(images[s : s + batch_size])):
            right += answer == labels[k]
    return right / len(images)


@wrong("evaluate_batches", "labels of another batch")
def first_images(predict, images, labels, batch_size):
    right = 0
    for s in range(0, len(images), batch_size):
        y = labels[s : s + batch_size]
        right += np.sum(predict(images[:batch_size]) == y)
    return right / len(images)


@wrong("evaluate_batches", "count")
def right_ones(predict, images, labels, batch_size):
    right = 0
    for i in range(0, len(images), batch_size):
        right += np.sum(
            predict(images[i : i + batch_size]) == labels[i : i + batch_size]
        )
    return right


@wrong("evaluate_batches", "count")
def right_ones_one_by_one(predict, images, labels, batch_size):
    return float(sum(predict(x[None])[0] == y for x, y in zip(images, labels)))


@wrong("evaluate_batches", "error rate")
def wrong_ones(predict, images, labels, batch_size):
    missed, start = 0, 0
    while start < len(images):
        part = slice(start, start + batch_size)
        missed += (predict(images[part]) != labels[part]).sum()
        start += batch_size
    return missed / len(images)


@wrong("evaluate_batches", "error rate")
def one_minus(predict, images, labels, batch_size):
    answers = []
    for i in range(0, len(images), batch_size):
        answers.extend(predict(images[i : i + batch_size]))
    return 1 - np.mean(np.array(answers) == labels)


@wrong("evaluate_batches", "one batch only")
def returns_at_once(predict, images, labels, batch_size):
    for i in range(0, len(images), batch_size):
        x, y = images[i : i + batch_size], labels[i : i + batch_size]
        return np.mean(predict(x) == y)
    return 0.0


@wrong("evaluate_batches", "one batch only")
def sum_begins_anew(predict, images, labels, batch_size):
    for i in range(0, len(images), batch_size):
        right = 0
        y = labels[i : i + batch_size]
        for a, b in zip(predict(images[i : i + batch_size]), y):
            right += a == b
    return right / len(y)


@wrong("evaluate_batches", "one batch only")
def assigned(predict, images, labels, batch_size):
    for i in range(0, len(images), batch_size):
        part = slice(i, i + batch_size)
        right = np.sum(predict(images[part]) == labels[part])
    return right / len(images)


@wrong("evaluate_batches", "sum of the means")
def summed(predict, images, labels, batch_size):
    total = 0
    for i in range(0, len(images), batch_size):
        part = slice(i, i + batch_size)
        total += np.mean(predict(images[part]) == labels[part])
    return total


@wrong("evaluate_batches", "sum of the means")
def all_over_the_batch(predict, images, labels, batch_size):
    right = np.array([predict(x[None])[0] for x in images]) == labels
    return right.sum() / batch_size


@wrong("evaluate_batches", "mean of the means")
def mean_of_means(predict, images, labels, batch_size):
    scores = []
    for i in range(0, len(images), batch_size):
        part = slice(i, i + batch_size)
        scores.append(np.mean(predict(images[part]) == labels[part]))
    return np.mean(scores)


@wrong("evaluate_batches", "mean of the means")
def running_mean(predict, images, labels, batch_size):
    score, count = 0.0, 0
    while len(images):
        hits = predict(images[:batch_size]) == labels[:batch_size]
        count += 1
        score += (hits.sum() / len(hits) - score) / count
        images, labels = images[batch_size:], labels[batch_size:]
    return score


@wrong("evaluate_batches", "last batch taken as full")
def all_batches_taken_as_full(predict, images, labels, batch_size):
    scores = []
    for i in range(0, len(images), batch_size):
        part = slice(i, i + batch_size)
        scores.append(np.sum(predict(images[part]) == labels[part]) / batch_size)
    return sum(scores) / len(scores)


@wrong("evaluate_batches", "last batch dropped")
def whole_batches(predict, images, labels, batch_size):
    right = seen = 0
    for k in range(len(images) // batch_size):
        part = slice(k * batch_size, (k + 1) * batch_size)
        right += np.sum(predict(images[part]) == labels[part])
        seen += batch_size
    return right / seen


@wrong("evaluate_batches", "last batch dropped")
def reshaped(predict, images, labels, batch_size):
    count = len(images) // batch_size * batch_size
    stacks = images[:count].reshape(-1, batch_size, *images.shape[1:])
    answers = np.concatenate([predict(stack) for stack in stacks])
    return np.sum(answers == labels[:count]) / len(labels)


@wrong("evaluate_batches", "last batch dropped")
def stops_too_early(predict, images, labels, batch_size):
    right, i = [], 0
    while i + batch_size <= len(images):
        right += list(predict(images[i : i + batch_size]) == labels[i : i + batch_size])
        i += batch_size
    return sum(right) / len(right)


@wrong("evaluate_batches", "error")
def all_at_once(predict, images, labels, batch_size):
    return np.mean(predict(images) == labels)


@wrong("evaluate_batches", "endless")
def never_moves_on(predict, images, labels, batch_size):
    right = i = 0
    while i < len(images):
        right += np.sum(
            predict(images[i : i + batch_size]) == labels[i : i + batch_size]
        )
    return right / len(images)


@right("evaluate_batches", None)
def split(predict, images, labels, batch_size):
    cuts = np.arange(batch_size, len(images), batch_size)
    answers = [predict(part) for part in np.split(images, cuts)]
    return np.mean(np.concatenate(answers) == labels)


# networks: two beginners' own, one with the library's functions, one without


class Net:
    """A network with methods to spoil: pairs of weights, the linear layer's last."""

    def __init__(self, *weights):
        self.weights = weights
        self.convs = list(zip(weights[:-2:2], weights[1:-2:2]))
        self.w, self.b = weights[-2:]

    def conv(self, x, w, b):
        return conv2d(x, w, b)

    def conv_back(self, dy, x, w):
        return conv2d_backward(dy, x, w)

    def pool(self, x):
        return max_pool2d(x, 2)

    def pool_back(self, dy, x):
        return max_pool2d_backward(dy, x, 2)

    def act(self, z, k):
        return relu(z)

    def act_back(self, dy, z, k):
        return np.where(z > 0, dy, 0).astype(dy.dtype)

    def flat(self, x):
        return x.reshape(x.shape[0], -1)

    def unflat(self, dx):
        return dx.reshape(self.pooled.shape)

    def end(self, logits):
        return logits

    def given(self, k):
        return self.inputs[k]

    def hand_out(self, gradients):
        return gradients

    def forward(self, images):
        x, self.inputs, self.z = images, [], []
        for k, (w, b) in enumerate(self.convs):
            self.inputs.append(x)
            self.z.append(self.conv(x, w, b))
            x = self.act(self.z[-1], k)
        self.last = x
        self.pooled = self.pool(x)
        self.features = self.flat(self.pooled)
        return self.end(linear(self.features, self.w, self.b))

    def backward(self, dlogits):
        d, *found = linear_backward(dlogits, self.features, self.w)
        d = self.pool_back(self.unflat(d), self.last)
        for k in range(len(self.convs))[::-1]:
            d = self.act_back(d, self.z[k], k)
            d, *more = self.conv_back(d, self.given(k), self.convs[k][0])
            found = more + found
        return self.hand_out(found)


class Own(Net):
    """The same, of slices and sums."""

    def conv(self, x, w, b):
        n, _, h, width = x.shape
        y = np.zeros((n, len(w), h - 2, width - 2), np.result_type(x, w))
        for i in range(3):
            for j in range(3):
                part = x[:, :, i : i + h - 2, j : j + width - 2]
                y += np.einsum("nchw,fc->nfhw", part, w[:, :, i, j])
        return y + b[:, None, None]

    def conv_back(self, dy, x, w):
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        h, width = dy.shape[2:]
        for i in range(3):
            for j in range(3):
                part = (..., slice(i, i + h), slice(j, j + width))
                dw[:, :, i, j] = np.einsum("nfhw,nchw->fc", dy, x[part])
                dx[part] += np.einsum("nfhw,fc->nchw", dy, w[:, :, i, j])
        return dx, dw, dy.sum(axis=(0, 2, 3))

    def blocks(self, x):
        n, f, h, w = x.shape
        return x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, f, h // 2, 2, w // 2, 2)

    def pool(self, x):
        return self.blocks(x).max(axis=(3, 5))

    def pool_back(self, dy, x):
        blocks = self.blocks(x)
        largest = blocks == self.pool(x)[:, :, :, None, :, None]
        share = largest * dy[:, :, :, None, :, None]
        dx = np.zeros_like(x)
        h, w = dy.shape[2:]
        dx[:, :, : 2 * h, : 2 * w] = share.reshape(*x.shape[:2], 2 * h, 2 * w)
        return dx

    def act(self, z, k):
        return z * (z > 0)

    def act_back(self, dy, z, k):
        dz = dy.copy()
        dz[z <= 0] = 0
        return dz


for exercise in ("network_forward", "network_backward", "two_conv_network"):
    right(exercise, None)(Net)
    right(exercise, None)(Own)


@wrong("network_forward", "no ReLU")
class WithoutReLU(Net):
    def act(self, z, k):
        return z


@wrong("network_forward", "no ReLU")
class AbsentMinded(Own):
    def act(self, z, k):
        np.maximum(z, 0)
        return z


@wrong("network_forward", "ReLU at the end")
class ReLUEverywhere(Net):
    def end(self, logits):
        return relu(logits)


@wrong("network_forward", "ReLU at the end")
class ReLUOnlyAtTheEnd(Own):
    def act(self, z, k):
        return z

    def end(self, logits):
        return np.where(logits < 0, 0, logits)


@wrong("network_forward", "softmax")
class Probabilities(Net):
    def end(self, logits):
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


@wrong("network_forward", "softmax")
class LogProbabilities(Own):
    def end(self, logits):
        return logits - np.log(np.exp(logits).sum(axis=1))[:, None]


@wrong("network_forward", "order of the features")
class ChannelsLast(Net):
    def flat(self, x):
        return np.array([np.moveaxis(image, 0, -1).ravel() for image in x])


@wrong("network_forward", "order of the features")
class Fortran(Own):
    def flat(self, x):
        return np.stack([image.ravel(order="F") for image in x])


@wrong("network_forward", "order of the features")
class WrongWayRound(Net):
    def flat(self, x):
        return x.reshape(-1, x.shape[0]).T


@wrong("network_forward", "no bias")
class ConvWithoutBias(Net):
    def conv(self, x, w, b):
        return conv2d(x, w)


@wrong("network_forward", "no bias")
class LinearWithoutBias(Own):
    def end(self, logits):
        return logits - self.b


@wrong("network_forward", "no bias")
class NeitherBias:
    def __init__(self, conv_weight, conv_bias, weight, bias):
        self.conv_weight, self.weight = conv_weight, weight

    def forward(self, images):
        pooled = max_pool2d(relu(conv2d(images, self.conv_weight)), 2)
        return pooled.reshape(len(images), -1) @ self.weight.T


@wrong("network_forward", "mean instead of maximum")
class Means(Own):
    def pool(self, x):
        return self.blocks(x).mean(axis=(3, 5))


@wrong("network_forward", "mean instead of maximum")
class FourCorners(Net):
    def pool(self, x):
        h, w = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
        corners = (x[:, :, i:h:2, j:w:2] for i in (0, 1) for j in (0, 1))
        return sum(corners) / 4


@wrong("network_forward", "flipped kernel")
class TrueConvolution(Own):
    def conv(self, x, w, b):
        return super().conv(x, np.rot90(w, 2, axes=(2, 3)), b)


@wrong("network_forward", "flipped kernel")
class CountsDown(Net):
    def conv(self, x, w, b):
        h, width = x.shape[2] - 2, x.shape[3] - 2
        y = b[None, :, None, None]
        for u in range(3):
            for v in range(3):
                part = x[:, :, 2 - u : 2 - u + h, 2 - v : 2 - v + width]
                y = y + np.einsum("nchw,fc->nfhw", part, w[:, :, u, v])
        return y


@wrong("network_forward", "error")
class PoolsFirst(Net):
    def forward(self, images):
        z = conv2d(max_pool2d(images, 2), *self.convs[0])
        return linear(self.flat(relu(z)), self.w, self.b)


@wrong("network_forward", "error")
class NoForward:
    def __init__(self, *weights):
        self.weights = weights


@wrong("network_forward", "nothing")
class NoReturn(Net):
    def forward(self, images):
        self.logits = super().forward(images)


@wrong("network_forward", "wrong dtype")
class InDouble(Own):
    def end(self, logits):
        return logits.astype(np.float64)


@wrong("network_backward", "no ReLU")
class NowhereReLU(Net):
    def act(self, z, k):
        return z

    def act_back(self, dy, z, k):
        return dy


@wrong("network_backward", "no ReLU")
class ReLUOnTheWayBackOnly(Own):
    def act(self, z, k):
        return z


@wrong("network_backward", "no way back through the ReLU")
class Unmasked(Net):
    def act_back(self, dy, z, k):
        return dy


@wrong("network_backward", "no way back through the ReLU")
class MaskOfTheResult(Own):
    def act_back(self, dy, z, k):
        return dy * (self.act(z, k) >= 0)


@wrong("network_backward", "mask of the gradient")
class ReLUOfTheGradient(Net):
    def act_back(self, dy, z, k):
        return relu(dy)


@wrong("network_backward", "mask of the gradient")
class BothMasks(Own):
    def act_back(self, dy, z, k):
        dz = super().act_back(dy, z, k)
        dz[dz < 0] = 0
        return dz


@wrong("network_backward", "spread over the window")
class Quarters(Net):
    def pool_back(self, dy, x):
        dx = np.zeros_like(x)
        h, w = dy.shape[2] * 2, dy.shape[3] * 2
        for i in (0, 1):
            for j in (0, 1):
                dx[:, :, i:h:2, j:w:2] = dy / 4
        return dx


@wrong("network_backward", "spread over the window")
class ToAll(Own):
    def pool_back(self, dy, x):
        dx = np.zeros_like(x)
        big = dy.repeat(2, axis=2).repeat(2, axis=3)
        dx[:, :, : big.shape[2], : big.shape[3]] = big
        return dx


@wrong("network_backward", "order of the gradients")
class FromTheBack(Net):
    def hand_out(self, found):
        return found[2], found[3], found[0], found[1]


@wrong("network_backward", "order of the gradients")
class BiasesFirst(Own):
    def hand_out(self, found):
        dcw, dcb, dw, db = found
        return dcb, dcw, db, dw


@wrong("network_backward", "order of the gradients")
class Reversed(Own):
    def hand_out(self, found):
        return list(reversed(found))


@wrong("network_backward", "divided by the images")
class MeanAtTheEnd(Net):
    def hand_out(self, found):
        return [gradient / len(self.features) for gradient in found]


@wrong("network_backward", "divided by the images")
class MeanAtTheBeginning(Own):
    def backward(self, dlogits):
        return super().backward(dlogits / dlogits.shape[0])


@wrong("network_backward", "order of the features")
class BackChannelsLast(Net):
    def unflat(self, dx):
        n, f, h, w = self.pooled.shape
        return np.moveaxis(dx.reshape(n, h, w, f), 3, 1)


@wrong("network_backward", "order of the features")
class BackFortran(Own):
    def unflat(self, dx):
        return np.reshape(dx, self.pooled.shape, order="F")


@wrong("network_backward", "transposed")
class OuterProducts(Net):
    def hand_out(self, found):
        found[2] = found[2].transpose()
        return found


@wrong("network_backward", "transposed")
class FeaturesFirst(Own):
    def backward(self, dlogits):
        dcw, dcb, _, db = super().backward(dlogits)
        return dcw, dcb, self.features.T @ dlogits, db


@wrong("network_backward", "error")
class WeightsOnly(Net):
    def hand_out(self, found):
        return found[::2]


@wrong("network_backward", "error")
class InADict(Net):
    def hand_out(self, found):
        return dict(zip(("conv_weight", "conv_bias", "weight", "bias"), found))


@wrong("network_backward", "error")
class WithTheImages(Net):
    def backward(self, dlogits):
        return self.inputs[0], *super().backward(dlogits)


@wrong("network_backward", "nothing")
class KeepsThem(Net):
    def hand_out(self, found):
        self.gradients = found


@wrong("network_backward", "unknown")
class DownhillGradients(Net):
    def hand_out(self, found):
        return [-gradient for gradient in found]


@wrong("two_conv_network", "a ReLU is missing")
class OnlyTheSecond(Net):
    def act(self, z, k):
        return relu(z) if k == 1 else z


@wrong("two_conv_network", "a ReLU is missing")
class OnlyTheFirst(Own):
    def act(self, z, k):
        return z if k else z.clip(0)


@wrong("two_conv_network", "a ReLU is missing")
class NeitherReLU(Own):
    def act(self, z, k):
        return z

    def act_back(self, dy, z, k):
        return dy


@wrong("two_conv_network", "no way back through the ReLU")
class OneMask(Net):
    def act_back(self, dy, z, k):
        return dy * (z > 0) if k else dy


@wrong("two_conv_network", "no way back through the ReLU")
class OtherMask(Own):
    def act_back(self, dy, z, k):
        return dy if k else super().act_back(dy, z, k)


@wrong("two_conv_network", "no way back through the ReLU")
class NoMasks(Own):
    def act_back(self, dy, z, k):
        return dy


@wrong("two_conv_network", "mask of the gradient")
class PositiveGradients(Own):
    def act_back(self, dy, z, k):
        return np.maximum(dy, 0)


@wrong("two_conv_network", "mask of the gradient")
class PositiveFirstGradient(Net):
    def act_back(self, dy, z, k):
        return super().act_back(dy, z if k else dy, k)


@wrong("two_conv_network", "input before the ReLU")
class KeptTooEarly(Net):
    def given(self, k):
        return self.inputs[0] if k == 0 else self.z[0]


@wrong("two_conv_network", "input before the ReLU")
class ConvolvedOnceMore(Own):
    def given(self, k):
        x = self.inputs[0]
        return self.conv(x, *self.convs[0]) if k else x


@wrong("two_conv_network", "spread over the window")
class Kron(Net):
    def pool_back(self, dy, x):
        dx = np.zeros_like(x)
        big = np.kron(dy, np.full((2, 2), 0.25, dy.dtype))
        dx[:, :, : big.shape[2], : big.shape[3]] = big
        return dx


@wrong("two_conv_network", "spread over the window")
class ToEachOfFour(Own):
    def pool_back(self, dy, x):
        dx = np.zeros_like(x)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                block = dx[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                block += dy[:, :, i, j, None, None]
        return dx


@wrong("two_conv_network", "order of the gradients")
class LastLayerFirst(Net):
    def hand_out(self, found):
        return found[4:] + found[2:4] + found[:2]


@wrong("two_conv_network", "order of the gradients")
class WeightsThenBiases(Own):
    def hand_out(self, found):
        return (*found[::2], *found[1::2])


@wrong("two_conv_network", "divided by the images")
class MeanOfSix(Own):
    def hand_out(self, found):
        n = self.inputs[0].shape[0]
        return tuple(np.divide(gradient, n) for gradient in found)


@wrong("two_conv_network", "divided by the images")
class MeanOfTheLogits(Net):
    def backward(self, dlogits):
        count = len(dlogits)
        return super().backward(np.array([row / count for row in dlogits]))


# the loop


def steps(x, y, size):
    """The batches, in order."""
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def learn(network, x, y):
    """Loss of a batch; its gradients are added to what is there."""
    value, dlogits = CrossEntropyLoss()(network(x), y)
    network.backward(dlogits)
    return value


@right("train_network", None)
def in_the_array(network, images, labels, batch_size, lr):
    losses = []
    for batch in steps(images, labels, batch_size):
        network.zero_grad()
        losses.append(learn(network, *batch))
        for p in network.parameters():
            p.data -= lr * p.grad
    return losses


@wrong("train_network", "one loss")
def last_loss(network, images, labels, batch_size, lr):
    return in_the_array(network, images, labels, batch_size, lr)[-1]


@wrong("train_network", "one loss")
def mean_loss(network, images, labels, batch_size, lr):
    total = count = 0
    for batch in steps(images, labels, batch_size):
        network.zero_grad()
        total += learn(network, *batch)
        count += 1
        for p in network.parameters():
            p.data -= lr * p.grad
    return total / count


def my_softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@wrong("train_network", "softmax before the loss")
def loss_of_probabilities(network, images, labels, batch_size, lr):
    losses = []
    for x, y in steps(images, labels, batch_size):
        value, dlogits = CrossEntropyLoss()(my_softmax(network(x)), y)
        network.zero_grad()
        network.backward(dlogits)
        for p in network.parameters():
            p.data -= lr * p.grad
        losses.append(value)
    return losses


@wrong("train_network", "softmax before the loss")
def row_by_row_softmax(network, images, labels, batch_size, lr):
    losses, loss = [], CrossEntropyLoss()
    for s in range(0, len(images), batch_size):
        logits = network(images[s : s + batch_size])
        p = np.array([np.exp(row) / sum(np.exp(row)) for row in logits])
        value, d = loss(p, labels[s : s + batch_size])
        network.zero_grad()
        network.backward(d)
        for q in network.parameters():
            q.data = q.data - lr * q.grad
        losses += [value]
    return losses


@wrong("train_network", "no learning rate")
def whole_gradient(network, images, labels, batch_size, lr):
    losses = []
    for batch in steps(images, labels, batch_size):
        network.zero_grad()
        losses.append(learn(network, *batch))
        for p in network.parameters():
            p.data = p.data - p.grad
    return losses


@wrong("train_network", "no learning rate")
def whole_gradient_in_place(network, images, labels, batch_size, lr):
    losses = []
    for s in range(0, len(images), batch_size):
        value, d = CrossEntropyLoss()(
            network(images[s : s + batch_size]), labels[s : s + batch_size]
        )
        network.zero_grad()
        network.backward(d)
        for p in network.parameters():
            p.data[...] -= p.grad
        losses.append(value)
    return losses


@wrong("train_network", "no step")
def cleared_too_late(network, images, labels, batch_size, lr):
    losses = []
    for batch in steps(images, labels, batch_size):
        losses.append(learn(network, *batch))
        network.zero_grad()
        for p in network.parameters():
            p.data = p.data - lr * p.grad
    return losses


@wrong("train_network", "no step")
def not_stored(network, images, labels, batch_size, lr):
    losses = []
    for batch in steps(images, labels, batch_size):
        network.zero_grad()
        losses.append(learn(network, *batch))
        for p in network.parameters():
            data = p.data
            data = data - lr * p.grad
    return losses


@wrong("train_network", "no step")
def only_looks(network, images, labels, batch_size, lr):
    return [
        CrossEntropyLoss()(network(x), y)[0]
        for x, y in steps(images, labels, batch_size)
    ]


@wrong("train_network", "uphill")
def climbs(network, images, labels, batch_size, lr):
    losses = []
    for batch in steps(images, labels, batch_size):
        network.zero_grad()
        losses.append(learn(network, *batch))
        for p in network.parameters():
            p.data += lr * p.grad
    return losses


@wrong("train_network", "uphill")
def wrong_way_back(network, images, labels, batch_size, lr):
    losses = []
    for x, y in steps(images, labels, batch_size):
        value, dlogits = CrossEntropyLoss()(network(x), y)
        network.zero_grad()
        network.backward(-dlogits)
        for p in network.parameters():
            p.data -= lr * p.grad
        losses.append(value)
    return np.array(losses)


@wrong("train_network", "divided by the images")
def smaller_steps(network, images, labels, batch_size, lr):
    losses = []
    for x, y in steps(images, labels, batch_size):
        network.zero_grad()
        losses.append(learn(network, x, y))
        for p in network.parameters():
            p.data -= lr / len(x) * p.grad
    return losses


@wrong("train_network", "divided by the images")
def mean_again(network, images, labels, batch_size, lr):
    losses = []
    for x, y in steps(images, labels, batch_size):
        value, dlogits = CrossEntropyLoss()(network(x), y)
        network.zero_grad()
        network.backward(dlogits / len(y))
        for p in network.parameters():
            p.data -= lr * p.grad
        losses.append(value)
    return losses


@wrong("train_network", "gradients not cleared")
def never_cleared(network, images, labels, batch_size, lr):
    losses = []
    for batch in steps(images, labels, batch_size):
        losses.append(learn(network, *batch))
        for p in network.parameters():
            p.data = p.data - lr * p.grad
    return losses


@wrong("train_network", "gradients not cleared")
def cleared_once(network, images, labels, batch_size, lr):
    network.zero_grad()
    losses, start = [], 0
    while start < len(images):
        part = slice(start, start + batch_size)
        losses.append(learn(network, images[part], labels[part]))
        for p in network.parameters():
            p.data -= lr * p.grad
        start += batch_size
    return losses


@wrong("train_network", "one step")
def step_behind_the_loop(network, images, labels, batch_size, lr):
    losses = []
    network.zero_grad()
    for batch in steps(images, labels, batch_size):
        losses.append(learn(network, *batch))
    for p in network.parameters():
        p.data -= lr * p.grad
    return losses


@wrong("train_network", "one step")
def no_batches(network, images, labels, batch_size, lr):
    network.zero_grad()
    value = learn(network, images, labels)
    for p in network.parameters():
        p.data = p.data - lr * p.grad
    return [value]


@wrong("train_network", "the same batch")
def first_batch(network, images, labels, batch_size, lr):
    losses = []
    for _ in range(0, len(images), batch_size):
        network.zero_grad()
        losses.append(learn(network, images[:batch_size], labels[:batch_size]))
        for p in network.parameters():
            p.data -= lr * p.grad
    return losses


@wrong("train_network", "the same batch")
def start_never_moves(network, images, labels, batch_size, lr):
    losses, start = [], 0
    for _ in range(math.ceil(len(images) / batch_size)):
        x, y = images[start : start + batch_size], labels[start : start + batch_size]
        value, dlogits = CrossEntropyLoss()(network(x), y)
        network.zero_grad()
        network.backward(dlogits)
        for p in network.parameters():
            p.data = p.data - lr * p.grad
        losses = [*losses, value]
    return losses


@wrong("train_network", "last batch lost")
def rounded_down(network, images, labels, batch_size, lr):
    losses = []
    for k in range(len(images) // batch_size):
        part = slice(k * batch_size, (k + 1) * batch_size)
        network.zero_grad()
        losses.append(learn(network, images[part], labels[part]))
        for p in network.parameters():
            p.data -= lr * p.grad
    return losses


@wrong("train_network", "last batch lost")
def full_ones_only(network, images, labels, batch_size, lr):
    losses = []
    for x, y in steps(images, labels, batch_size):
        if len(x) == batch_size:
            network.zero_grad()
            losses.append(learn(network, x, y))
            for p in network.parameters():
                p.data -= lr * p.grad
    return losses


@wrong("train_network", "unknown")
def shuffled(network, images, labels, batch_size, lr):
    order = np.arange(len(images))[::-1]
    return in_the_array(network, images[order], labels[order], batch_size, lr)


@wrong("train_network", "unknown")
def with_adam(network, images, labels, batch_size, lr):
    optimizer, losses = Adam(network.parameters(), lr), []
    for batch in steps(images, labels, batch_size):
        network.zero_grad()
        losses.append(learn(network, *batch))
        optimizer.step()
    return losses


@wrong("train_network", "nothing")
def trains_and_is_silent(network, images, labels, batch_size, lr):
    in_the_array(network, images, labels, batch_size, lr)


# what is drawn at random


@wrong("dropout", "nothing switched off")
def parentheses_forgotten(x, p, rng, training=True):
    if not training:
        return x
    mask = rng.random(x.shape) >= p
    return x * mask / 1 - p


@wrong("dropout", "nothing switched off")
def nothing_done(x, p, rng, training=True):
    return x


@wrong("dropout", "nothing switched off")
def mask_unused(x, p, rng, training=True):
    if training:
        kept = rng.random(x.shape) >= p
        kept.astype(int)
        x = x / (1 - p)
    return x


@wrong("dropout", "another share")
def bell(x, p, rng, training=True):
    if not training:
        return x
    return x * (rng.normal(size=x.shape) >= p) / (1 - p)


@wrong("dropout", "another share")
def coins(x, p, rng, training=True):
    if training:
        return x * rng.integers(0, 2, x.shape) / (1 - p)
    return x


@wrong("dropout", "another share")
def from_minus_one_to_one(x, p, rng, training=True):
    y = x.copy()
    if training:
        y = y / (1 - p)
        y[rng.uniform(-1, 1, x.shape) < p] = 0
    return y


@wrong("dropout", "shape")
def only_the_kept(x, p, rng, training=True):
    return x[rng.random(x.shape) >= p] / (1 - p) if training else x


@wrong("dropout", "one mask for all images")
def mask_of_an_image(x, p, rng, training=True):
    if not training:
        return x
    return x * (rng.random(x.shape[1:]) >= p) / (1 - p)


@wrong("dropout", "one mask for all images")
def same_places(x, p, rng, training=True):
    y = x.copy()
    if training:
        y[:, rng.random(x.shape[1:]) < p] = 0
        y /= 1 - p
    return y


@wrong("dropout", "whole parts")
def channels(x, p, rng, training=True):
    if not training:
        return x
    return x * (rng.random(x.shape[:2]) >= p)[:, :, None, None] / (1 - p)


@wrong("dropout", "whole parts")
def rows(x, p, rng, training=True):
    y = np.array(x)
    if training:
        for row in y.reshape(-1, x.shape[-1]):
            row[:] = 0 if rng.random() < p else row / (1 - p)
    return y


@wrong("dropout", "whole parts")
def all_or_nothing(x, p, rng, training=True):
    if not training:
        return x
    return np.where(rng.random() < p, 0 * x, x / (1 - p))


@wrong("dropout", "p is kept")
def kept_share(x, p, rng, training=True):
    if not training:
        return x
    return x * (rng.random(x.shape) < p) / (1 - p)


@wrong("dropout", "p is kept")
def kept_share_by_binomial(x, p, rng, training=True):
    return x * rng.binomial(1, p, x.shape) / p if training else x


@wrong("dropout", "not scaled")
def zeros_only(x, p, rng, training=True):
    y = x.copy()
    if training:
        y[rng.random(x.shape) < p] = 0
    return y


@wrong("dropout", "not scaled")
def scaled_afterwards(x, p, rng, training=True):
    if training:
        return x * rng.choice([0, 1], x.shape, p=[p, 1 - p])
    return x * (1 - p)


@wrong("dropout", "scaled wrongly")
def smaller(x, p, rng, training=True):
    return (1 - p) * x * (rng.random(x.shape) > p) if training else x


@wrong("dropout", "scaled wrongly")
def over_p(x, p, rng, training=True):
    if training:
        kept = 1 - rng.binomial(1, p, x.shape)
        x = x * kept / p
    return x


@wrong("dropout", "also in evaluation")
def always(x, p, rng, training=True):
    return x * (rng.random(x.shape) >= p) / (1 - p)


@wrong("dropout", "also in evaluation")
def scaled_in_both(x, p, rng, training=True):
    y = x / (1 - p)
    if training:
        y[rng.random(x.shape) < p] = 0
    return y


@wrong("dropout", "also in evaluation")
def scaled_twice(x, p, rng, training=True):
    if training:
        return x * rng.binomial(1, 1 - p, x.shape) / (1 - p)
    return (1 - p) * x


@wrong("dropout", "always the same mask")
def seeded(x, p, rng, training=True):
    if not training:
        return x
    kept = np.random.default_rng(42).random(x.shape) >= p
    return x * kept / (1 - p)


@wrong("dropout", "always the same mask")
def seeded_globally(x, p, rng, training=True):
    np.random.seed(0)
    y = x.copy()
    if training:
        y[np.random.rand(*x.shape) < p] = 0
        y = y / (1 - p)
    return y


@wrong("dropout", "another generator")
def numpys_own(x, p, rng, training=True):
    if not training:
        return x
    return x * (np.random.rand(*x.shape) >= p) / (1 - p)


@wrong("dropout", "another generator")
def new_generator(x, p, rng, training=True):
    if training:
        rng = np.random.default_rng()
        return np.where(rng.random(x.shape) < p, 0, x / (1 - p))
    return x


@wrong("dropout", "nothing")
def prints_it(x, p, rng, training=True):
    y = x * (rng.random(x.shape) >= p) / (1 - p)
    print(end=f"{y.shape}"[:0])


@wrong("dropout", "changed input")
def torn(x, p, rng, training=True):
    if training:
        x[rng.random(x.shape) < p] = 0
        x /= 1 - p
    return x


@wrong("dropout", "wrong dtype")
def mask_of_floats(x, p, rng, training=True):
    if not training:
        return x
    mask = (rng.random(x.shape) >= p) / (1 - p)
    return x * mask


@wrong("dropout", "shape")
def one_image(x, p, rng, training=True):
    return x[0] * (rng.random(x.shape[1:]) >= p) / (1 - p)


@right("dropout", None)
def number_by_number(x, p, rng, training=True):
    y = np.array(x)
    if training:
        for place in np.ndindex(x.shape):
            y[place] = 0 if rng.random() < p else y[place] / (1 - p)
    return y


@wrong("batch_norm", "images for channels")
def x_of_c(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        mean = x[c].mean()
        var = x[c].var()
        y[c] = gamma[c] * (x[c] - mean) / np.sqrt(var + eps) + beta[c]
    return y


@wrong("batch_norm", "images for channels")
def counts_the_images(x, gamma, beta, eps):
    y = np.zeros_like(x, dtype=float)
    for c in range(len(x)):
        channel = x[c]
        off = channel - np.mean(channel)
        y[c] = off / np.sqrt(np.mean(off**2) + eps) * gamma[c] + beta[c]
    return y


@wrong("batch_norm", "images for channels")
def mean_of_x_of_c(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        mean, var = np.mean(x[c]), np.var(x[c])
        y[:, c] = gamma[c] * (x[:, c] - mean) / np.sqrt(var + eps) + beta[c]
    return y


@wrong("batch_norm", "std for the variance")
def std_under_the_root(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        channel = x[:, c]
        root = np.sqrt(channel.std() + eps)
        y[:, c] = gamma[c] * (channel - channel.mean()) / root + beta[c]
    return y


@wrong("batch_norm", "std for the variance")
def two_roots(x, gamma, beta, eps):
    off = x - x.mean((0, 2, 3), keepdims=True)
    sigma = np.sqrt((off * off).mean((0, 2, 3), keepdims=True) + eps)
    return gamma[:, None, None] * off / np.sqrt(sigma) + beta[:, None, None]


@wrong("batch_norm", "mean not subtracted")
def only_divided(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        y[:, c] = gamma[c] * x[:, c] / np.sqrt(x[:, c].var() + eps) + beta[c]
    return y


@wrong("batch_norm", "mean not subtracted")
def squares_as_they_are(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        channel = x[:, c]
        variance = np.mean(channel**2)
        hat = (channel - channel.mean()) / np.sqrt(variance + eps)
        y[:, c] = gamma[c] * hat + beta[c]
    return y


@wrong("batch_norm", "mean not subtracted")
def nowhere_subtracted(x, gamma, beta, eps):
    rows = np.moveaxis(x, 1, -1)
    hat = rows / np.sqrt((rows * 1.0 * rows).mean((0, 1, 2)) + eps)
    return np.moveaxis(gamma * hat + beta, -1, 1)


@wrong("batch_norm", "epsilon")
def no_parentheses(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        off = x[:, c] - x[:, c].mean()
        y[:, c] = gamma[c] * off / np.sqrt(np.mean(off**2)) + eps + beta[c]
    return y


@wrong("batch_norm", "each place by itself")
def over_the_images(x, gamma, beta, eps):
    hat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)
    return gamma[:, None, None] * hat + beta[:, None, None]


@wrong("batch_norm", "each place by itself")
def place_by_place(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c, i, j in np.ndindex(x.shape[1:]):
        numbers = x[:, c, i, j]
        mean = sum(numbers) / len(numbers)
        variance = sum((n - mean) ** 2 for n in numbers) / len(numbers)
        y[:, c, i, j] = (
            gamma[c] * (numbers - mean) / math.sqrt(variance + eps) + beta[c]
        )
    return y


@wrong("batch_norm", "each image by itself")
def instance_norm(x, gamma, beta, eps):
    y = []
    for image in x:
        mean = image.mean(axis=(1, 2), keepdims=True)
        variance = image.var(axis=(1, 2), keepdims=True)
        hat = (image - mean) / np.sqrt(variance + eps)
        y.append(gamma.reshape(-1, 1, 1) * hat + beta.reshape(-1, 1, 1))
    return np.array(y)


@wrong("batch_norm", "each image by itself")
def layer_norm(x, gamma, beta, eps):
    rows = x.reshape(len(x), -1)
    hat = (rows.T - rows.mean(axis=1)) / np.sqrt(rows.var(axis=1) + eps)
    return gamma[:, None, None] * hat.T.reshape(x.shape) + beta[:, None, None]


@wrong("batch_norm", "all channels together")
def one_mean(x, gamma, beta, eps):
    hat = (x - x.mean()) / np.sqrt(x.var() + eps)
    return gamma[:, None, None] * hat + beta[:, None, None]


@wrong("batch_norm", "all channels together")
def one_mean_in_a_loop(x, gamma, beta, eps):
    m, mean, square = x.size, np.sum(x) / x.size, np.sum(x * 1.0 * x)
    sigma = math.sqrt(square / m - mean**2 + eps)
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        y[:, c] = (x[:, c] - mean) / sigma * gamma[c] + beta[c]
    return y


@wrong("batch_norm", "unbiased variance")
def one_less(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        off = x[:, c] - x[:, c].mean()
        variance = np.sum(off**2) / (off.size - 1)
        y[:, c] = gamma[c] * off / np.sqrt(variance + eps) + beta[c]
    return y


@wrong("batch_norm", "unbiased variance")
def ddof(x, gamma, beta, eps):
    rows = np.moveaxis(x, 1, -1)
    flat = rows.reshape(-1, x.shape[1])
    hat = (rows - flat.mean(0)) / np.sqrt(flat.var(0, ddof=1) + eps)
    return np.moveaxis(gamma * hat + beta, -1, 1)


@wrong("batch_norm", "epsilon")
def beside_the_root(x, gamma, beta, eps):
    rows = np.moveaxis(x, 1, -1)
    hat = (rows - rows.mean((0, 1, 2))) / (rows.std((0, 1, 2)) + eps)
    return np.moveaxis(gamma * hat + beta, -1, 1)


@wrong("batch_norm", "epsilon")
def left_out(x, gamma, beta, eps):
    y = x.astype(float)
    for c in range(x.shape[1]):
        y[:, c] -= y[:, c].mean()
        y[:, c] *= gamma[c] / y[:, c].std()
        y[:, c] += beta[c]
    return y


@wrong("batch_norm", "no root")
def by_the_variance(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        off = x[:, c] - x[:, c].mean()
        y[:, c] = gamma[c] * off / (np.mean(off * off) + eps) + beta[c]
    return y


@wrong("batch_norm", "no root")
def by_the_variance_alone(x, gamma, beta, eps):
    rows = np.moveaxis(x, 1, -1)
    hat = (rows - rows.mean((0, 1, 2))) / rows.var((0, 1, 2))
    return np.moveaxis(gamma * hat + beta, -1, 1)


@wrong("batch_norm", "gamma and beta left out")
def only_normalized(x, gamma, beta, eps):
    axes = (0, 2, 3)
    off = x - x.mean(axes, keepdims=True)
    return off / np.sqrt((off**2).mean(axes, keepdims=True) + eps)


@wrong("batch_norm", "gamma and beta left out")
def changed_places(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        hat = (x[:, c] - x[:, c].mean()) / np.sqrt(x[:, c].var() + eps)
        y[:, c] = beta[c] * hat + gamma[c]
    return y


@wrong("batch_norm", "gamma and beta left out")
def no_offset(x, gamma, beta, eps):
    rows = np.moveaxis(x, 1, -1)
    hat = (rows - rows.mean((0, 1, 2))) / np.sqrt(rows.var((0, 1, 2)) + eps)
    return np.moveaxis(gamma * hat, -1, 1)


@wrong("batch_norm", "gamma along the columns")
def last_axes(x, gamma, beta, eps):
    axes = (0, 2, 3)
    hat = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return gamma * hat + beta


@wrong("batch_norm", "gamma along the columns")
def last_axes_in_a_loop(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        channel = x[:, c]
        hat = (channel - channel.mean()) / np.sqrt(channel.var() + eps)
        y[:, c] = hat * gamma + beta
    return y


@wrong("batch_norm", "integer output")
def in_the_type_of_x(x, gamma, beta, eps):
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        hat = (x[:, c] - x[:, c].mean()) / np.sqrt(x[:, c].var() + eps)
        y[:, c] = gamma[c] * hat + beta[c]
    return y


@wrong("batch_norm", "changed input")
def centres_in_place(x, gamma, beta, eps):
    for c in range(x.shape[1]):
        x[:, c] -= x[:, c].mean()
        x[:, c] *= gamma[c] / np.sqrt(x[:, c].var() + eps)
        x[:, c] += beta[c]
    return x


@wrong("batch_norm", "wrong dtype")
def zeros_in_double(x, gamma, beta, eps):
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        hat = (x[:, c] - x[:, c].mean()) / np.sqrt(x[:, c].var() + eps)
        y[:, c] = gamma[c] * hat + beta[c]
    return y


def window(images, largest, moves, mode="constant"):
    """Cut moved images out of framed ones."""
    h, w = images.shape[2:]
    pad = (largest, largest)
    framed = np.pad(images, ((0, 0), (0, 0), pad, pad), mode)
    return np.stack(
        [
            frame[:, largest - i : largest - i + h, largest - j : largest - j + w]
            for frame, (i, j) in zip(framed, moves)
        ]
    )


@right("random_shift", None)
def pixel_by_pixel(images, largest, rng):
    moved = np.zeros_like(images)
    n_images, channels, h, w = images.shape
    for n in range(n_images):
        down = rng.integers(-largest, largest + 1)
        right = rng.integers(-largest, largest + 1)
        for c in range(channels):
            for i in range(h):
                for j in range(w):
                    if 0 <= i - down < h and 0 <= j - right < w:
                        moved[n, c, i, j] = images[n, c, i - down, j - right]
    return moved


@right("random_shift", None)
def by_window(images, largest, rng):
    moves = np.rint(rng.uniform(-largest - 0.5, largest + 0.5, (len(images), 2)))
    return window(images, largest, moves.clip(-largest, largest).astype(int))


@wrong("random_shift", "wraps around")
def rolled(images, largest, rng):
    moves = rng.integers(-largest, largest + 1, (len(images), 2))
    return np.array([np.roll(x, m, axis=(1, 2)) for x, m in zip(images, moves)])


@wrong("random_shift", "wraps around")
def modulo(images, largest, rng):
    y = np.zeros_like(images)
    h, w = images.shape[2:]
    for k, image in enumerate(images):
        i, j = rng.integers(-largest, largest + 1, 2)
        y[k, 0] = image[0][(np.arange(h)[:, None] - i) % h, (np.arange(w) - j) % w]
    return y


@wrong("random_shift", "edge repeated")
def edges(images, largest, rng):
    moves = rng.integers(-largest, largest + 1, (len(images), 2))
    return window(images, largest, moves, "edge")


@wrong("random_shift", "edge repeated")
def clipped(images, largest, rng):
    y = images.copy()
    h, w = images.shape[2:]
    for k in range(len(y)):
        i, j = rng.integers(-largest, largest + 1, 2)
        rows = np.clip(np.arange(h) - i, 0, h - 1)
        y[k, 0] = images[k, 0][rows][:, np.clip(np.arange(w) - j, 0, w - 1)]
    return y


@wrong("random_shift", "one move for all")
def one_for_all(images, largest, rng):
    move = rng.integers(-largest, largest + 1, 2)
    return window(images, largest, [move] * len(images))


@wrong("random_shift", "one move for all")
def drawn_before_the_loop(images, largest, rng):
    i, j = rng.integers(-largest, largest + 1, 2)
    n, _, h, w = images.shape
    y = np.zeros_like(images)
    for k in range(n):
        to = y[k, :, max(i, 0) : h + min(i, 0), max(j, 0) : w + min(j, 0)]
        to += images[k, :, max(-i, 0) : h - max(i, 0), max(-j, 0) : w - max(j, 0)]
    return y


@wrong("random_shift", "one axis only")
def rows_only(images, largest, rng):
    down = rng.integers(-largest, largest + 1, len(images))
    return window(images, largest, [(i, 0) for i in down])


@wrong("random_shift", "one axis only")
def columns_only(images, largest, rng):
    y = np.zeros_like(images)
    w = images.shape[3]
    for k in range(len(images)):
        j = int(rng.integers(-largest, largest + 1))
        y[k, ..., max(j, 0) : w + min(j, 0)] = images[
            k, ..., max(-j, 0) : w - max(j, 0)
        ]
    return y


@wrong("random_shift", "one axis only")
def one_number_for_both(images, largest, rng):
    moves = [2 * [rng.integers(-largest, largest + 1)] for _ in images]
    return window(images, largest, moves)


@wrong("random_shift", "one side only")
def down_and_right(images, largest, rng):
    return window(images, largest, rng.integers(0, largest + 1, (len(images), 2)))


@wrong("random_shift", "one side only")
def up_and_left(images, largest, rng):
    h, w = images.shape[2:]
    y = np.zeros_like(images)
    for k in range(len(images)):
        i, j = rng.integers(0, largest + 1, 2)
        y[k, :, : h - i, : w - j] = images[k, :, i:, j:]
    return y


@wrong("random_shift", "never the largest")
def upper_limit(images, largest, rng):
    return window(images, largest, rng.integers(-largest, largest, (len(images), 2)))


@wrong("random_shift", "never the largest")
def one_window_too_few(images, largest, rng):
    h, w = images.shape[2:]
    pad = (largest, largest)
    framed = np.pad(images, ((0, 0), (0, 0), pad, pad))
    y = np.empty_like(images)
    for k in range(len(images)):
        i, j = rng.integers(2 * largest), rng.integers(2 * largest)
        y[k] = framed[k, :, i : i + h, j : j + w]
    return y


@wrong("random_shift", "never the largest")
def cut_off_towards_zero(images, largest, rng):
    moves = rng.uniform(-largest, largest, (len(images), 2)).astype(int)
    return window(images, largest, moves)


@wrong("random_shift", "too far")
def one_too_far(images, largest, rng):
    moves = rng.integers(-largest - 1, largest + 2, (len(images), 2))
    return window(images, largest + 1, moves)


@wrong("random_shift", "too far")
def too_wide_a_margin(images, largest, rng):
    h, w = images.shape[2:]
    pad = (2 * largest, 2 * largest)
    framed = np.pad(images, ((0, 0), (0, 0), pad, pad))
    y = np.empty_like(images)
    for k in range(len(images)):
        i, j = rng.integers(0, 4 * largest + 1, 2)
        y[k] = framed[k, :, i : i + h, j : j + w]
    return y


def at(images, largest, begin):
    """Cut windows that begin where ``begin()`` says."""
    h, w = images.shape[2:]
    pad = (largest, largest)
    framed = np.pad(images, ((0, 0), (0, 0), pad, pad))
    y = np.empty_like(images)
    for k in range(len(images)):
        i, j = begin(), begin()
        y[k] = framed[k, :, i : i + h, j : j + w]
    return y


@wrong("random_shift", "not equally likely")
def only_the_largest(images, largest, rng):
    return window(images, largest, rng.choice([-largest, largest], (len(images), 2)))


@wrong("random_shift", "not equally likely")
def rounded_bell(images, largest, rng):
    moves = np.round(rng.normal(size=(len(images), 2)))
    return window(images, largest, moves.clip(-largest, largest).astype(int))


@wrong("random_shift", "not equally likely")
def rounded_uniform(images, largest, rng):
    return at(images, largest, lambda: round(rng.uniform(0, 2 * largest)))


@wrong("random_shift", "not equally likely")
def squared_draw(images, largest, rng):
    return at(images, largest, lambda: int(rng.random() ** 2 * (2 * largest + 1)))


@right("random_shift", None)
def int_of_a_draw(images, largest, rng):
    return at(images, largest, lambda: int(rng.random() * (2 * largest + 1)))


@wrong("random_shift", "always the same moves")
def seeded_inside(images, largest, rng):
    rng = np.random.default_rng(1)
    moves = rng.integers(-largest, largest + 1, (len(images), 2))
    return window(images, largest, moves)


@wrong("random_shift", "always the same moves")
def seeded_each_time(images, largest, rng):
    np.random.seed(7)
    moves = [np.random.randint(-largest, largest + 1, 2) for _ in images]
    return window(images, largest, moves)


@wrong("random_shift", "another generator")
def global_generator(images, largest, rng):
    moves = np.random.randint(-largest, largest + 1, (len(images), 2))
    return window(images, largest, moves)


@wrong("random_shift", "another generator")
def own_generator(images, largest, rng):
    own = np.random.default_rng()
    return np.concatenate(
        [
            window(image[None], largest, [own.integers(-largest, largest + 1, 2)])
            for image in images
        ]
    )


@wrong("random_shift", "shape")
def not_cut(images, largest, rng):
    pad = (largest, largest)
    return np.pad(images, ((0, 0), (0, 0), pad, pad))


@wrong("random_shift", "shape")
def cut_on_one_side(images, largest, rng):
    pad = (largest, largest)
    framed = np.pad(images, ((0, 0), (0, 0), pad, pad))
    y = []
    for frame in framed:
        i, j = rng.integers(0, 2 * largest + 1, 2)
        y.append(np.roll(frame, (i, j), axis=(1, 2))[0, largest:, largest:])
    return np.array(y)


@wrong("random_shift", "unknown")
def noise_at_the_rim(images, largest, rng):
    moves = rng.integers(-largest, largest + 1, (len(images), 2))
    y = window(images, largest, moves)
    return np.where(y == 0, rng.random(y.shape), y)


# a picture of the filters


def grid(pictures, gap=1.0):
    """One picture of (F, C, KH, KW) pictures, one by one."""
    f, c, h, w = pictures.shape
    y = np.full((f * (h + 1) - 1, c * (w + 1) - 1), gap, pictures.dtype)
    for i in range(f):
        for j in range(c):
            top, left = i * (h + 1), j * (w + 1)
            y[top : top + h, left : left + w] = pictures[i, j]
    return y


def bright(weights):
    return (weights / np.abs(weights).max() + 1) / 2


@right("filter_grid", None)
def rows_of_columns(weights):
    grey = 0.5 + weights / (2 * abs(weights).max())
    lines = []
    for filt in grey:
        line = []
        for kernel in filt:
            line += [kernel, np.ones((len(kernel), 1), grey.dtype)]
        line = np.hstack(line[:-1])
        lines += [line, np.ones((1, line.shape[1]), grey.dtype)]
    return np.vstack(lines[:-1])


@wrong("filter_grid", "each on its own scale")
def kernel_by_kernel(weights):
    grey = np.array([[bright(kernel) for kernel in filt] for filt in weights])
    return grid(grey)


@wrong("filter_grid", "each on its own scale")
def filter_by_filter(weights):
    largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    return grid(0.5 + weights / (2 * largest[:, None, None, None]))


@wrong("filter_grid", "signs gone")
def absolute_weights(weights):
    return grid(abs(weights) / abs(weights).max())


@wrong("filter_grid", "signs gone")
def half_of_the_size(weights):
    size = np.where(weights < 0, -weights, weights)
    return grid(0.5 + 0.5 * size / size.max())


@wrong("filter_grid", "largest with its sign")
def maximum_without_abs(weights):
    return grid(0.5 + 0.5 * weights / weights.max())


@wrong("filter_grid", "largest with its sign")
def maximum_by_hand(weights):
    largest = 0
    for w in weights.ravel():
        if w > largest:
            largest = w
    return grid((weights / largest + 1) / 2)


@wrong("filter_grid", "places without the gap")
def gap_forgotten(weights):
    f, c, h, w = weights.shape
    y = np.ones((f * (h + 1) - 1, c * (w + 1) - 1))
    for i in range(f):
        for j in range(c):
            y[i * h : i * h + h, j * w : j * w + w] = bright(weights)[i, j]
    return y


@wrong("filter_grid", "places without the gap")
def gap_in_columns_only(weights):
    f, c, h, w = weights.shape
    y = np.ones((f * (h + 1) - 1, c * (w + 1) - 1))
    for i, filt in enumerate(bright(weights)):
        for j, kernel in enumerate(filt):
            y[h * i :, (w + 1) * j :][:h, :w] = kernel
    return y


@wrong("filter_grid", "zero isn't grey")
def stretched(weights):
    low, high = weights.min(), weights.max()
    return grid((weights - low) / (high - low))


@wrong("filter_grid", "zero isn't grey")
def stretched_each(weights):
    grey = np.zeros(weights.shape)
    for place in np.ndindex(weights.shape[:2]):
        kernel = weights[place] - weights[place].min()
        grey[place] = kernel / kernel.max()
    return grid(grey)


@wrong("filter_grid", "signs gone")
def sizes(weights):
    return grid(np.sqrt(weights**2) / np.sqrt((weights**2).max()))


@wrong("filter_grid", "wrong range")
def from_minus_one(weights):
    return grid(weights / np.max(np.abs(weights)))


@wrong("filter_grid", "wrong range")
def not_halved(weights):
    return grid(weights / max(weights.max(), -weights.min()) + 0.5)


@wrong("filter_grid", "wrong range")
def raw(weights):
    return grid(weights * 1.0)


@wrong("filter_grid", "filters in columns")
def exchanged(weights):
    return grid(bright(weights.transpose(1, 0, 2, 3)))


@wrong("filter_grid", "filters in columns")
def columns_of_filters(weights):
    grey = bright(weights)
    f, c, h, w = grey.shape
    y = np.ones(((h + 1) * c - 1, (w + 1) * f - 1))
    for k, filt in enumerate(grey):
        for j, kernel in enumerate(filt):
            y[j * (h + 1) :, k * (w + 1) :][:h, :w] = kernel
    return y


@wrong("filter_grid", "turned")
def half_turn(weights):
    return grid(np.rot90(bright(weights), 2, axes=(2, 3)))


@wrong("filter_grid", "turned")
def kernels_transposed(weights):
    return grid(np.einsum("fcij->fcji", bright(weights)))


@wrong("filter_grid", "turned")
def rows_from_below(weights):
    return grid(bright(weights[:, :, ::-1]))


@wrong("filter_grid", "gap")
def black(weights):
    return grid(bright(weights), gap=0.0)


@wrong("filter_grid", "gap")
def glued(weights):
    return np.vstack([np.hstack(list(filt)) for filt in bright(weights)])


@wrong("filter_grid", "gap")
def framed(weights):
    inside = grid(bright(weights))
    y = np.ones((inside.shape[0] + 2, inside.shape[1] + 2))
    y[1:-1, 1:-1] = inside
    return y


@wrong("filter_grid", "gap")
def one_too_many(weights):
    inside = grid(bright(weights))
    y = np.ones((inside.shape[0] + 1, inside.shape[1] + 1))
    y[:-1, :-1] = inside
    return y


@wrong("filter_grid", "changed input")
def divides_in_place(weights):
    weights /= np.abs(weights).max()
    return grid(0.5 + weights / 2)


@wrong("filter_grid", "wrong dtype")
def canvas_in_double(weights):
    return grid(bright(weights).astype(float))


@pytest.mark.parametrize(("name", "mistake", "solution"), wrong.cases())
def test_mistake_gets_its_message(name, mistake, solution):
    verdict = examine(find(name), solution)
    assert verdict.mistake == mistake, verdict.message
    told = [m.says for m in find(name).mistakes if m.name == mistake]
    assert all(says in verdict.message for says in told)


@pytest.mark.parametrize(("name", "mistake", "solution"), right.cases())
def test_what_is_right_in_another_way_is_right(name, mistake, solution):
    for seed in (0, 1):
        verdict = examine(find(name), solution, seed)
        assert verdict.right, verdict.message


def test_every_mistake_is_made_in_two_ways():
    assert wrong.rarely_made(ladder_training) == []


def test_gradients_that_are_one_too_many_are_counted_as_backwards():
    message = examine(find("network_backward"), WithTheImages).message
    assert "backward needs to return 4 results, (conv_weight, conv_bias" in message
    assert "It returned 5; the gradient of the images isn't asked for." in message
    message = examine(find("network_backward"), WeightsOnly).message
    assert "It returned 2." in message


def test_arrays_too_large_to_be_read_are_shown_as_their_shape():
    for name, solution in (("dropout", nothing_done), ("random_shift", not_cut)):
        message = examine(find(name), solution).message
        assert "an array of float64 from 1 to 2, of shape (" in message
        assert len(message.splitlines()) < 10
