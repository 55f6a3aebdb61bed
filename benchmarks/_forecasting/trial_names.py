"""What the rows of the table of trials say. Imports nothing."""

NAMES = {
    "plain": "one ridge",
    "narrowing": "beside it a ridge whose prior narrows with the lag; validation chooses one",
    "short": "beside it a ridge of half the look-back; validation chooses one",
    "all_decays": "beside it the mean of ridges of two decays, whole look-back; validation chooses one",
    "shared": "as shipped, no series may have weights of its own",
    "shipped": "as shipped: the mean over decays, reach chosen, own weights drawn to the shared",
    "carried": "the state carried, nothing learns: as shipped, patch by patch",
    "carried_online": "the map goes on learning",
    "carried_errors": "a memory of errors, as much as validation gives it",
    "carried_online_errors": "both",
    "carried_online_all_errors": "both, the memory of errors whatever validation says",
    "online_forgetting": "the map goes on learning and forgets half of a window in 8,000 rows",
    "online_steady_penalty": "the map goes on learning, its penalty does not grow with the windows",
    "online_four_decays": "the map goes on learning, the mean over four decays instead of two",
}
