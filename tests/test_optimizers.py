"""Optimizers, schedules, clipping, averages and groups: 50 steps in float64 like PyTorch's, to 1e-10."""

import itertools

import numpy as np
import pytest
import reference

import chainrule as cr

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

STEPS = 50
SIZES = [5, 8, 3]


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                direction = torch.sign(beta1 * m + (1 - beta1) * p.grad)
                p -= group["lr"] * (direction + group["weight_decay"] * p)
                m.mul_(beta2).add_(p.grad, alpha=1 - beta2)


OPTIMIZERS = {
    "sgd": (cr.SGD(learning_rate=0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (cr.SGD(learning_rate=0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, 0.9)),
    "nesterov": (
        cr.SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True),
    ),
    "adam": (cr.Adam(learning_rate=0.01), lambda p: torch.optim.Adam(p, 0.01)),
    "adam betas": (
        cr.Adam(learning_rate=0.01, beta1=0.8, beta2=0.99, epsilon=1e-4),
        lambda p: torch.optim.Adam(p, 0.01, betas=(0.8, 0.99), eps=1e-4),
    ),
    "adamw": (cr.AdamW(learning_rate=0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
    "rmsprop": (cr.RMSprop(learning_rate=0.01), lambda p: torch.optim.RMSprop(p, 0.01)),
    "rmsprop centered": (
        cr.RMSprop(learning_rate=0.01, alpha=0.9, momentum=0.5, centered=True),
        lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, momentum=0.5, centered=True),
    ),
    "adagrad": (cr.Adagrad(learning_rate=0.1), lambda p: torch.optim.Adagrad(p, 0.1)),
    "adagrad decay": (
        cr.Adagrad(learning_rate=0.1, learning_rate_decay=0.01, initial_accumulator=0.1),
        lambda p: torch.optim.Adagrad(p, 0.1, lr_decay=0.01, initial_accumulator_value=0.1),
    ),
    "lion": (cr.Lion(learning_rate=0.01), lambda p: Lion(p, 0.01)),
    "lion decay": (
        cr.Lion(learning_rate=0.01, beta1=0.8, beta2=0.95, weight_decay=0.1),
        lambda p: Lion(p, 0.01, (0.8, 0.95), 0.1),
    ),
}


def warmed_up(step):  # then half a cosine
    return (step + 1) / 10 if step < 10 else (1 + np.cos(np.pi * (step - 10) / 40)) / 2


lr = torch.optim.lr_scheduler
SCHEDULES = {
    "constant": (None, lambda o: lr.ConstantLR(o, 1.0)),
    "step": (cr.StepDecay(every=7, factor=0.5), lambda o: lr.StepLR(o, 7, 0.5)),
    "exponential": (cr.ExponentialDecay(factor=0.9), lambda o: lr.ExponentialLR(o, 0.9)),
    "inverse": (cr.InverseScaling(power=0.3, scale=2.0), lambda o: lr.LambdaLR(o, lambda t: (1 + 2 * t) ** -0.3)),
    "cosine": (cr.Cosine(lowest=0.0), lambda o: lr.CosineAnnealingLR(o, STEPS)),
    "cosine warmup": (cr.Cosine(warmup=10), lambda o: lr.LambdaLR(o, warmed_up)),
    "cosine restarts": (
        cr.Cosine(restart_every=6, period_factor=2),
        lambda o: lr.CosineAnnealingWarmRestarts(o, 6, 2),
    ),
    "one cycle": (cr.OneCycle(), None),
    "plateau": (
        cr.ReduceOnPlateau(factor=0.5, patience=0),
        lambda o: lr.ReduceLROnPlateau(o, factor=0.5, patience=0, threshold=0, threshold_mode="abs"),
    ),
    "callable": (lambda epoch: 1 / (1 + epoch), lambda o: lr.LambdaLR(o, lambda t: 1 / (1 + t))),
}
CLIPS = {"": {}, "norm": {"clip_norm": 0.05}, "value": {"clip_value": 0.01}}


def torch_network(params):
    """Return tensors with these parameters, and a function that computes the cost of data."""
    tensors = [torch.tensor(x, requires_grad=True) for pair in params for x in pair]

    def cost(X, Y):
        a = torch.tensor(X)
        for layer in range(0, len(tensors), 2):
            a = a @ tensors[layer].T + tensors[layer + 1]
            a = torch.tanh(a) if layer + 2 < len(tensors) else a
        return torch.nn.functional.cross_entropy(a, torch.tensor(Y))

    return tensors, cost


def flat(tensors):
    return reference.flatten(
        [(tensors[i].detach().numpy(), tensors[i + 1].detach().numpy()) for i in range(0, len(tensors), 2)]
    )


def make(seed=0, m=20):
    params, X, Y, _ = reference.problem(SIZES, m, "softmax_cross_entropy", seed)
    net = cr.Network(SIZES, activation="tanh", loss="softmax_cross_entropy", dtype="float64", seed=0)
    net.parameters[:] = reference.flatten(params)
    return net, params, X, Y


def clip(tensors, clip_norm=None, clip_value=None):
    if clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(tensors, clip_norm)
    if clip_value is not None:
        torch.nn.utils.clip_grad_value_(tensors, clip_value)


def cases():
    """Yield each optimizer with each schedule; each occurs with both kinds of clipping and without."""
    for (i, optimizer), (j, schedule) in itertools.product(enumerate(OPTIMIZERS), enumerate(SCHEDULES)):
        yield optimizer, schedule, [*CLIPS][(i + j) % 3]


@pytest.mark.parametrize(("optimizer", "schedule", "clipped"), cases())
def test_steps_equal_pytorch(optimizer, schedule, clipped):
    ours, theirs = OPTIMIZERS[optimizer]
    our_schedule, their_schedule = SCHEDULES[schedule]
    net, params, X, Y = make()
    history = net.fit(X, Y, optimizer=ours, schedules=our_schedule, epochs=STEPS, **CLIPS[clipped])

    tensors, cost = torch_network(params)
    stepper = theirs(tensors)
    if their_schedule is None:
        rate = stepper.param_groups[0]["lr"]
        scheduler = lr.OneCycleLR(stepper, rate, total_steps=STEPS, cycle_momentum=False)
    else:
        scheduler = their_schedule(stepper)
    rates = []
    for _ in range(STEPS):
        stepper.zero_grad()
        loss = cost(X, Y)
        loss.backward()
        clip(tensors, **CLIPS[clipped])
        rates.append(stepper.param_groups[0]["lr"])
        stepper.step()
        scheduler.step(*([loss.item()] if schedule == "plateau" else []))
    assert reference.error(net.parameters, flat(tensors)) <= 1e-10
    assert history.learning_rate == pytest.approx(rates, rel=1e-12, abs=1e-18)
    assert history.loss[-1] == pytest.approx(loss.item(), rel=1e-10)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_batch_schedules_and_averages_equal_pytorch(optimizer):
    """With batches, a cosine changes in each step; weight decay has its own schedule; the average is PyTorch's."""
    ours, theirs = OPTIMIZERS[optimizer]
    net, params, X, Y = make()
    net.fit(X, Y, optimizer=ours, schedules=cr.Cosine(), batch_size=6, epochs=5, shuffle=False, ema=0.8)
    tensors, cost = torch_network(params)
    stepper = theirs(tensors)
    scheduler = lr.CosineAnnealingLR(stepper, 20)
    averages = None
    for _ in range(5):
        for start in range(0, 20, 6):
            stepper.zero_grad()
            cost(X[start : start + 6], Y[start : start + 6]).backward()
            stepper.step()
            scheduler.step()
            averages = flat(tensors).copy() if averages is None else 0.8 * averages + 0.2 * flat(tensors)
    assert reference.error(net.parameters, averages) <= 1e-10


def test_groups_equal_parameter_groups_of_pytorch():
    groups = [
        cr.Group(layers=[0], learning_rate=0.5),
        cr.Group(kind="biases", weight_decay=0.0),
        cr.Group(layers=[1], kind="biases", learning_rate=0.0),
    ]
    net, params, X, Y = make()
    net.fit(X, Y, optimizer=cr.AdamW(learning_rate=0.02, weight_decay=0.3), groups=groups, epochs=STEPS)
    (W1, b1, W2, b2), cost = torch_network(params)
    stepper = torch.optim.AdamW(
        [
            {"params": [W1], "lr": 0.01},
            {"params": [b1], "lr": 0.01, "weight_decay": 0.0},
            {"params": [W2]},
        ],
        lr=0.02,
        weight_decay=0.3,
    )
    for _ in range(STEPS):
        stepper.zero_grad()
        cost(X, Y).backward()
        stepper.step()
    assert reference.error(net.parameters, flat([W1, b1, W2, b2])) <= 1e-10
    assert np.array_equal(net.biases[1], params[1][1])


def test_scheduled_weight_decay_equals_pytorch():
    net, params, X, Y = make()
    net.fit(
        X,
        Y,
        optimizer=cr.AdamW(learning_rate=0.02, weight_decay=0.3),
        schedules={"weight_decay": cr.StepDecay(every=10, factor=0.5)},
        epochs=STEPS,
    )
    tensors, cost = torch_network(params)
    stepper = torch.optim.AdamW(tensors, lr=0.02, weight_decay=0.3)
    for step in range(STEPS):
        stepper.param_groups[0]["weight_decay"] = 0.3 * 0.5 ** (step // 10)
        stepper.zero_grad()
        cost(X, Y).backward()
        stepper.step()
    assert reference.error(net.parameters, flat(tensors)) <= 1e-10


@pytest.mark.parametrize("history", [3, 10])
@pytest.mark.parametrize("learning_rate", [1.0, 0.3])
def test_lbfgs_equals_pytorch(history, learning_rate):
    net, params, X, Y = make(m=40)
    ours = net.fit(X, Y, optimizer=cr.LBFGS(history=history, learning_rate=learning_rate), epochs=25)
    tensors, cost = torch_network(params)
    stepper = torch.optim.LBFGS(
        tensors, learning_rate, max_iter=25, history_size=history, max_eval=10**6, line_search_fn="strong_wolfe"
    )

    def closure():
        stepper.zero_grad()
        loss = cost(X, Y)
        loss.backward()
        return loss

    stepper.step(closure)
    assert ours.epochs == 25
    assert reference.error(net.parameters, flat(tensors)) <= 1e-6  # rounding grows with the curvature's inverse
    assert net.loss(X, Y) == pytest.approx(cost(X, Y).item(), rel=1e-8)


@pytest.mark.parametrize(
    "groups", [(), [cr.Group(layers=[0], learning_rate=0.5), cr.Group(kind="biases", weight_decay=0)]]
)
@pytest.mark.parametrize("schedule", ["constant", "cosine warmup", "step"])
@pytest.mark.parametrize("clipped", CLIPS)
def test_schedule_free_adamw_equals_its_reference(clipped, schedule, groups):
    """Gradients are computed at y; the trained network has x, and validation uses x."""
    rate, beta1, beta2, epsilon, decay = 0.02, 0.8, 0.99, 1e-8, 0.1
    optimizer = cr.ScheduleFreeAdamW(learning_rate=rate, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=decay)
    net, params, X, Y = make()
    history = net.fit(
        X, Y, optimizer=optimizer, schedules=SCHEDULES[schedule][0], groups=groups, epochs=STEPS, validation=(X, Y),
        keep_state=True, **CLIPS[clipped],
    )  # fmt: skip

    tensors, cost = torch_network(params)
    rates = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    scheduler = SCHEDULES[schedule][1](rates)
    z, x = ([t.detach().clone() for t in tensors] for _ in range(2))
    v = [torch.zeros_like(t) for t in tensors]
    total, losses = 0.0, []
    for step in range(1, STEPS + 1):
        loss = cost(X, Y)
        gradients = torch.autograd.grad(loss, tensors)
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = gradient
        clip(tensors, **CLIPS[clipped])
        losses.append(loss.item())
        factor = scheduler.get_last_lr()[0]
        total += factor**2
        c = factor**2 / total
        with torch.no_grad():
            for i, y in enumerate(tensors):
                own_rate = rate * factor * (0.5 if groups and i < 2 else 1.0)
                own_decay = 0.0 if groups and i % 2 == 1 else decay
                v[i] = beta2 * v[i] + (1 - beta2) * y.grad**2
                direction = y.grad / ((v[i] / (1 - beta2**step)).sqrt() + epsilon)
                z[i] = z[i] - own_rate * (direction + own_decay * y)
                x[i] = (1 - c) * x[i] + c * z[i]
                y.copy_((1 - beta1) * z[i] + beta1 * x[i])
        rates.step()
        scheduler.step()
    assert reference.error(net.parameters, flat(x)) <= 1e-10
    assert reference.error(history.state.vectors["parameters"], flat(tensors)) <= 1e-10
    assert history.loss == pytest.approx(losses, rel=1e-9)
    assert history.validation[-1] == net.loss(X, Y)


def test_schedule_free_adamw_with_ema_raises():
    net, _, X, Y = make()
    with pytest.raises(ValueError, match="averages the parameters itself: do not set ema"):
        net.fit(X, Y, optimizer=cr.ScheduleFreeAdamW(), ema=0.9)
