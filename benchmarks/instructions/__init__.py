"""
How many instructions a message takes, counted by callgrind.

They are the same in each run, whatever else the machine does: so they show what a change costs where seconds of CPU
would be lost in the noise. What they don't show is time: an instruction may wait for memory, and what the kernel does
is not in them.
"""
