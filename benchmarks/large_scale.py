"""Does large-scale evolution beat its control? From finished workdirs.

for s in 0 1 2 3; do python -m experiments.large_scale --workdir=runs/$s \
    --scale=smoke --seed=$s --num_workers=1 --population_size=30 \
    --num_individuals=500 --steps=200; done
python -m benchmarks.large_scale --workdirs=runs/0,runs/1,runs/2,runs/3

The control is evolution without selection, with as many individuals. Of each
run the accuracies are read from its summary.json.
"""

import argparse
import os
import pathlib

from benchmarks import result_file
from nas_jax import pages
from nas_jax import records
from nas_jax import statistics


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--workdirs', required=True, help='joined by commas')
  parser.add_argument('--output', help='JSON file for the results')
  args = parser.parse_args()
  runs = []
  for folder in map(pathlib.Path, args.workdirs.split(',')):
    summary = records.read_json(folder / 'summary.json')
    flags = records.read_json(folder / 'config.json')['flags']
    runs.append({
        'seed': summary['seed'], 'dataset': summary['dataset'],
        'hardware': summary['hardware'], 'seconds': summary['cost'][
            'total_seconds'],
        **{k: flags[k] for k in ('population_size', 'num_individuals', 'steps',
                                 'batch_size')},
        **{name: {k: summary[part][k] for k in (
            'validation_accuracy', 'test_accuracy', 'num_params')}
           for name, part in (('evolution', 'result'),
                              ('no selection', 'random_search'))}})
  found = {name: [r[name]['test_accuracy'] for r in runs]
           for name in ('evolution', 'no selection')}
  gains = [a - b for a, b in zip(*found.values())]
  print(pages.table([['seed', *found, 'gain']] + [
      [str(r['seed']), *(f'{v[i]:.4f}' for v in found.values()),
       f'{gains[i]:+.4f}'] for i, r in enumerate(runs)]))
  low, high = statistics.mean_interval(gains)
  print(f'mean gain {sum(gains) / len(gains):+.4f}, 95 % interval '
        f'{low:+.4f} to {high:+.4f}')
  result_file.save(
      args.output, os.getloadavg(), runs=runs,
      mean_gain=sum(gains) / len(gains), interval=[low, high])


if __name__ == '__main__':
  main()
