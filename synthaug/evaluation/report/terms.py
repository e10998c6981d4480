"""The terms of a report, each in a plain sentence. `docs/glossary.md` has the same sentences."""

from __future__ import annotations

TERMS: dict[str, str] = {
    "Target class": "A class that you want to improve, usually one with few images.",
    "Test images": "Real images that were set aside before any training. Scores are measured on them.",
    "Validation images": "Real images that are used to choose settings, and not to train or to test.",
    "Generator": "The network that makes images. It learns from real ones.",
    "Discriminator": "The generator’s opponent: a network that learns to tell real from generated images. Both get "
    "better together. This is a GAN (generative adversarial network).",
    "Synthetic images": "Images made by the generator.",
    "Gate": "A check that rejects a synthetic image: wrong class, copy of a training image, or duplicate.",
    "Arm": "One way to train the classifier. All arms have the same test images and, unless it is said, the same "
    "number of steps.",
    "Control": "An arm without synthetic images.",
    "Best control": "The arm without synthetic images that recognises the target classes best. It is what “before” "
    "means.",
    "Share": "How many of the images that a classifier sees of a class are synthetic, in per cent.",
    "Steps": "How many times a training corrects the weights of the network.",
    "Seed": "The start of the random numbers. Each arm is trained several times with different seeds, because a single "
    "training may be lucky.",
    "Recall": "Of the test images of a class, the share that is recognised.",
    "Precision": "Of the images that the classifier takes for a class, the share that belongs to it.",
    "F1": "Recall and precision in one number, from 0 (all wrong) to 1 (all right): their harmonic mean.",
    "Macro-F1": "The mean F1 of all classes. Each class counts the same, however many images it has.",
    "Balanced accuracy": "The mean recall of all classes.",
    "Geometric mean": "The recalls of all classes, multiplied, with the root taken. One class that is never recognised "
    "makes it 0.",
    "Average precision": "The precision, averaged over all thresholds for the class. It does not depend on one "
    "threshold.",
    "95% interval": "The range in which the true value lies, except in about one of 20 cases. If the interval of a "
    "difference includes zero, the difference may be chance.",
    "Found in 80% of cases": "The smallest gain that this evaluation would find in four of five repetitions. A smaller "
    "gain may exist and go unseen.",
    "p-value": "How often chance alone would give a difference as large as this one, or larger.",
    "Confusion matrix": "A table that shows which classes are taken for which.",
    "Standard deviation": "How far values typically are from their mean. A difference in this unit says whether it is "
    "large for these images.",
    "Learning curve": "How the score rises with the number of real images.",
    "Loss": "A number that says how wrong a network is. Training makes it smaller.",
    "kimg": "A thousand training images shown to the generator’s opponent, the discriminator. Training time is counted "
    "in kimg.",
    "Checkpoint": "The generator as it was at one moment of the training. The best one is used.",
    "Variety": "Whether the synthetic images differ from each other as much as real ones do. If not, the generator has "
    "collapsed.",
    "Copying": "Whether the generator repeats training images instead of making new ones.",
    "Real against real": "The score that real images get when they are compared with other real images. It is what "
    "perfect synthetic images would get.",
    "KID": "A distance between synthetic and real images. 0 means no difference; real images get about 0.",
    "Coverage": "The share of real images that have a synthetic image near to them.",
}
