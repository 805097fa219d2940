"""Tokens per second of recurrent language models, here and in PyTorch.

python -m benchmarks.language [--hidden=128,850] [--search_hidden=300]
    [--orders=first,second] [--output=F]

A step of a training is one window of the DARTS_V2 cell with all that its
recipe drops; a step of the search is the gradient of the alphas on a
validation window, a step of Adam, and a step of the weights on a training
window (tokens are those of the training window). PyTorch runs as published,
which reproduces the losses and gradients of the published code. Each contender
is a process of its own; those of one model run in turn. Compiling includes
building the model and the first step, and reads no cache.
"""

import argparse
import dataclasses
import functools
import os
import pathlib
import sys

import jax
import numpy as np

from benchmarks import result_file
from benchmarks import torch_process
from nas_jax.spaces import presets
from nas_jax.training import language_recipes


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--hidden', default='128,850',
                      help='sizes of the models that are trained')
  parser.add_argument('--search_hidden', default='300',
                      help='sizes of the search model; empty for none')
  parser.add_argument('--orders', default='first',
                      help='of the gradient of the search: first, second')
  parser.add_argument('--architecture', default='DARTS_V2_RNN')
  parser.add_argument('--vocabulary', type=int, default=10_000)
  parser.add_argument('--batch_size', type=int, default=64)
  parser.add_argument('--search_batch_size', type=int, default=64,
                      help='256 as published')
  parser.add_argument('--bptt', type=int, default=35)
  torch_process.add_arguments(parser)
  torch_process.add_builders(parser)
  args = parser.parse_args()

  torch_process.prepare_processes()
  load = os.getloadavg()
  requests, scripts = _requests(args), _scripts(args)
  built = torch_process.build({
      (name, contender): functools.partial(
          torch_process.Process, python, request, script)
      for name, request in requests.items()
      for contender, (python, script) in scripts.items()},
                              args.builders)
  rows = []
  for name, request in requests.items():
    rows += _measure(args, name, request, {
        contender: built[name, contender] for contender in scripts})
  result_file.save(args.output, load, rows=rows, settings=vars(args))


def _requests(args) -> dict[str, dict]:
  """What both contenders are asked for, by the name of the model."""
  preset = presets.load(args.architecture)
  nodes, concat = preset.genotype
  common = {'vocabulary': args.vocabulary,
            'device': 'cpu' if jax.default_backend() == 'cpu' else 'cuda'}
  recipe = language_recipes.load(
      'darts_ptb', batch_size=args.batch_size, bptt=args.bptt,
      random_lengths=False, optimizer='sgd')
  found = {
      f'{args.architecture} {hidden}': common | {
          'hidden': hidden, 'recipe': dataclasses.asdict(recipe),
          'genotype': nodes, 'concat': concat}
      for hidden in _numbers(args.hidden)}
  recipe = language_recipes.load(
      'darts_rnn_search', batch_size=args.search_batch_size, bptt=args.bptt)
  return found | {
      f'search {order} order {hidden}': common | {
          'hidden': hidden, 'recipe': dataclasses.asdict(recipe),
          'genotype': None, 'order': order}
      for hidden in _numbers(args.search_hidden)
      for order in args.orders.split(',')}


def _scripts(args) -> dict[str, tuple[pathlib.Path, str]]:
  """Interpreter and script of each contender."""
  scripts = {'nas_jax': (pathlib.Path(sys.executable), 'jax_language.py')}
  if python := torch_process.interpreter(args):
    scripts['PyTorch'] = python, 'torch_language.py'
  return scripts


def _measure(args, name, request, processes) -> list[dict]:
  """Both contenders with one model."""
  params = {p.description['params'] for p in processes.values()}
  if len(params) > 1:
    raise RuntimeError(f'the models differ: {params} parameters')
  seconds = torch_process.in_turn(
      {key: p.time for key, p in processes.items()}, args.rounds,
      args.repeats)
  medians = {key: float(np.median(s)) for key, s in seconds.items()}
  recipe = request['recipe']
  tokens = recipe['batch_size'] * recipe['bptt']
  print(f'{name}: {params.pop():,} parameters, batch {recipe["batch_size"]}, '
        f'{recipe["bptt"]} steps, {jax.devices()[0].device_kind}')
  rows = []
  for key, process in processes.items():
    peak = process.ask({'peak': True})['peak_bytes']
    details = process.description
    row = {'model': name, 'name': key, 'batch_size': recipe['batch_size'],
           'bptt': recipe['bptt'], 'hidden': request['hidden'],
           'median_seconds': round(medians[key], 4),
           'quartiles': [round(float(q), 4) for q in np.quantile(
               seconds[key], [.25, .75])],
           'tokens_per_second': round(tokens / medians[key], 1),
           'times_as_fast_as_pytorch': 'PyTorch' in medians and round(
               medians['PyTorch'] / medians[key], 3) or None,
           'peak_bytes': peak, **details}
    rows.append(row)
    text = (f'  {key:10} {row["median_seconds"]:8.3f} s'
            f'{row["tokens_per_second"]:12,.0f} tokens/s'
            f'   {peak / 2**30:5.2f} GiB')
    if row['times_as_fast_as_pytorch'] and key != 'PyTorch':
      text += f'   {row["times_as_fast_as_pytorch"]:.2f} times PyTorch'
    if 'build_seconds' in details:
      start = details['build_seconds'] + details['first_step_seconds']
      text += f'   compiled in {start:.0f} s'
    print(text, flush=True)
    process.close()
  return rows


def _numbers(text) -> list[int]:
  return [int(number) for number in text.split(',') if number]


if __name__ == '__main__':
  main()
