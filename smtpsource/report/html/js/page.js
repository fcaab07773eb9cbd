// Charts are drawn here.
