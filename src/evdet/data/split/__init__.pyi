from .journal import SPLIT_JOURNAL as SPLIT_JOURNAL, undo_split as undo_split
from .plan import SplitPart as SplitPart, SplitPlan as SplitPlan, plan_split as plan_split
from .steps import do_split as do_split
