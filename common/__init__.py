"""Parts shared by the programs and packages of this repository. It imports nothing else of ours."""
