"""Every bound a diagnosis goes by, with its reason: what is normal, what is worth a word.

Chosen on sound and faulty trainings with seeds that the counts in docs/soak leave out.
"""

# -- how much is looked at: enough to tell, quick enough to ask for ----------------------------------

TRAINED_ON, HELD = 4000, 1000  # rows of a fork, and rows held out, at most
FEWEST = 20  # rows, of which a quarter says something about the others; of XOR's four it does not
RECORDED = 256  # rows whose every number and derivative is kept,
KEPT = 16_000_000  # as long as that is no more than so many numbers (128 MB)
COMPARED, WIDEST = 1200, 4096  # rows compared with each other, and the numbers of a row
MOST_STEPS = 100_000  # of a fork: a mistake beyond
FORKS = 12  # about as many short trainings as a diagnosis needs: each has such a share of the time
LBFGS_STEPS = 40  # each of which tries many rates on its way
FIRST_STEPS = 5  # few enough that steps still point one way

SURE = 4.0  # standard errors: by chance once in 30,000
LEARNED = 0.3  # of the loss of giving all rows the same: what is below has learned most
SEEN = 5  # rows of a class, without which it may be missing by chance

# -- structure --------------------------------------------------------------------------------------

SUM = 1e-3  # probabilities sum to 1 to the last digits of float32; a row of logits does not
OUTSIDE = 0.05  # of the targets may be out of an activation's reach, as outliers are
CLASSES = (3, 20)  # whole numbers from 0 that look like classes: 2 are often learned as numbers

# -- units ------------------------------------------------------------------------------------------

MANY_UNITS = 0.6  # of a layer's units dead, or values flat; a sound ReLU layer has up to a half
UNIT_ROWS = 16  # rows that say something about a unit
FLAT = {"sigmoid": 0.01, "tanh": 0.02}  # a derivative below this is flat (at most 0.25 and 1)
RANGE = 1e6  # between derivatives of first and last layer: float32 has 7 digits

# -- columns ----------------------------------------------------------------------------------------

LARGE = 20.0  # times the size of the other columns, and of 1: ten times as large still learns
TELLING = {True: 0.985, False: 0.99}  # by one column alone: the share that is right, R squared
COMMON = 0.95  # of rows in one class: guessing it is as good as a column that tells nearly all
MADE_OF_IT = 0.97  # R squared of a column by the target, where it was made from that
AS_TELLING = 0.02  # less: columns that tell the same,
COPIES = 2  # of which there are so many at most, or a quarter of the columns
OTHERS_LACK = (0.05, 0.02)  # that the next column, or all others, must leave open, and OPEN
OPEN = 4  # times what the telling one leaves open
PROMISING = 8  # columns that could tell the target, looked at closely
NAMED = 5  # columns by their number, where there are many

# -- labels -----------------------------------------------------------------------------------------

NEIGHBOURS = 60  # rows, without which the nearest are far away
PER_CLASS = 5  # rows in the mean, without which next to none has one of its class near it
OUTPUTS = (3, 100)  # among which a class that never occurs is a mistake and no rare word
# Rows without which nothing is said of labels in no order: with fewer rows than columns chance
# hides what they tell; from the second number on they are enough whatever the columns.
ORDERED = (80, 600)
ONE_CLASS = 0.97  # of rows in one class, beside which nothing can be learned that helps
NO_BETTER = 0.97  # of the loss of giving all rows the same: nothing was learned
QUICK = 5e-3  # Adam's rate for a training that learns where anything does
NOISE_ROWS = 120  # of which the quarter that agrees the most still counts
NOISE, MOST_NOISE = 0.10, 1 / 3  # shares of wrong labels: worth a word; too many to be told
AGREED = 0.75  # of the rows agree less than those that wrong labels are counted among
CONFUSED = 0.36  # of labels against rows alike: classes that overlap so much hide wrong labels
OTHERWISE = 0.75  # of that share at most may be against rows alike for other reasons
DOUBT = 0.3  # by so much larger a share of rows alike has another label than the row's own

# -- rates ------------------------------------------------------------------------------------------

SLOW, FAST = 1e-3, 0.3  # by what share of their size a step moves weights; usual is 0.01
ENOUGH = 50  # steps; in fewer of them no usual rate comes far
FALLEN = 0.5  # of the first loss: a rate with which it comes there in these steps works
LOWER, FAR_LOWER = (0.1, 0.01), (1e-4, 1e-6)  # times the rate; the latter if the loss explodes
HIGHER = (100.0, 1000.0)
MUCH_BETTER, HELD_BETTER = 0.6, 0.8  # of the loss as it is, on rows trained on and held out
BY_HEART = 2  # times the first loss on rows held out, while rows trained on are learned
LITTLE, WORTH = 0.2, 0.9  # of the way that a higher rate comes; of the loss that it leaves

# -- fixes ------------------------------------------------------------------------------------------

HELPS = 0.99  # of the loss without it; less is what another copy might do by chance
