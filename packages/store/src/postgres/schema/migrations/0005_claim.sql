-- compatible-from: 1
-- The line by kind of task: a claim reads the fronts of the kinds that its worker offers, and never what nobody offers.

create index ready_by_kind on ready (worker_group, capability, priority desc, seq);
drop index ready_in_line;
