"""Parts shared by the programs and packages of this repository; imports nothing of ours outside `common`."""
