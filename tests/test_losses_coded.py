"""The extension's loss as its code has it: its gradient, and the image score made of it."""

import torch

from rdrepro.losses import mkd_loss_coded
from rdrepro.scoring import loss_score


def test_the_coded_score_is_the_coded_loss_of_each_image_alone():
    generator = torch.Generator().manual_seed(0)
    f_e, f_d = ([torch.randn(3, 4, s, s, generator=generator) for s in (4, 2)] for _ in range(2))
    scores = loss_score(f_e, f_d, "mkd_loss", "pointwise", 7.0, coded=True)
    alone = [
        mkd_loss_coded([f[i : i + 1] for f in f_e], [f[i : i + 1] for f in f_d], 7.0)
        for i in range(3)
    ]
    torch.testing.assert_close(scores, torch.stack(alone))


def test_the_coded_loss_has_a_gradient_where_features_agree():
    f = torch.ones(1, 2, 2, 2)
    student = f.clone().requires_grad_()
    mkd_loss_coded([f], [student]).backward()
    assert student.grad.isfinite().all()
