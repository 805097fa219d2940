"""Seconds of a step of DARTS' search, here and in PyTorch.

python -m benchmarks.supernet [--batch_sizes=16,64] [--orders=first,second]
    [--output=F]

A step is the gradient of the architecture on a validation batch, a step of
Adam, and a step of the weights on a training batch, without augmentation, of
the published network (16 features, 8 cells, 1,930,618 weights). Each contender
is a process of its own; they run in turn, batch size by batch size. Ratios are
to PyTorch's better memory format as published, `lean` is PyTorch without the
gradients that the published code computes and drops. The memory is the most
that a process (on an accelerator, the device) has had; compiling includes
building the network and the first step, and reads no cache.
"""

import argparse
import functools
import os
import pathlib
import sys

import jax
import numpy as np

from benchmarks import result_file
from benchmarks import torch_process


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--features', type=int, default=16)
  parser.add_argument('--num_cells', type=int, default=8)
  parser.add_argument('--batch_sizes', default='16,64')
  parser.add_argument('--orders', default='first',
                      help='of the gradient: first, second')
  parser.add_argument('--dtypes', default='float32',
                      help='float32, bfloat16; separated by commas')
  parser.add_argument('--executions', default='auto',
                      help='of this project: auto, blocks, whole')
  parser.add_argument('--remat', default='0',
                      help='0, 1, or both: what edges keep is computed again')
  parser.add_argument('--layouts', default=','.join(torch_process.LAYOUTS))
  parser.add_argument('--lean', action='store_true',
                      help='PyTorch without gradients that nobody uses, too')
  torch_process.add_arguments(parser)
  torch_process.add_builders(parser)
  args = parser.parse_args()

  torch_process.prepare_processes()
  load = os.getloadavg()
  rows = []
  for batch_size in map(int, args.batch_sizes.split(',')):
    rows += _measure(args, batch_size)
  result_file.save(args.output, load, rows=rows, settings=vars(args))


def _measure(args, batch_size) -> list[dict]:
  """All contenders with one size of batch."""
  base = {'features': args.features, 'num_cells': args.num_cells,
          'batch_size': batch_size, 'device': _device()}
  requests = {}
  for dtype in args.dtypes.split(','):
    for order in args.orders.split(','):
      common = base | {'dtype': dtype, 'order': order}
      for layout in args.layouts.split(',') if args.torch else ():
        requests[f'PyTorch {layout} {order} {dtype}'] = common | {
            'layout': layout}
        if args.lean:
          requests[f'PyTorch {layout} lean {order} {dtype}'] = common | {
              'layout': layout, 'lean': True}
      for execution in args.executions.split(','):
        for remat in args.remat.split(','):
          name = f'nas_jax {execution}{" remat" * int(remat)} {order} {dtype}'
          requests[name] = common | {
              'execution': execution, 'remat': bool(int(remat))}
  processes = torch_process.build({
      name: functools.partial(_process, args, r)
      for name, r in requests.items()}, args.builders)
  details = {name: p.description for name, p in processes.items()}
  params = {d['params'] for d in details.values()}
  if len(params) > 1:
    raise RuntimeError(f'the networks differ: {params} parameters')
  seconds = torch_process.in_turn(
      {name: p.time for name, p in processes.items()}, args.rounds,
      args.repeats)
  medians = {name: float(np.median(s)) for name, s in seconds.items()}
  print(f'{args.features} features, {args.num_cells} cells, '
        f'{params.pop():,} parameters, batch {batch_size}, '
        f'{jax.devices()[0].device_kind}')
  rows = []
  for name, median in medians.items():
    request = requests[name]
    best = _least(medians, requests, request['order'], 'layout')
    first = _least(medians, requests, 'first', 'execution', name)
    peak = processes[name].ask({'peak': True})['peak_bytes']
    row = {'name': name, 'batch_size': batch_size,
           'median_seconds': round(median, 4),
           'quartiles': [round(float(q), 4) for q in np.quantile(
               seconds[name], [.25, .75])],
           'images_per_second': round(batch_size / median, 1),
           'ratio': best and round(median / best, 3),
           'ratio_to_first_order': first and round(median / first, 2),
           'peak_bytes': peak, **details[name]}
    rows.append(row)
    text = f'{name:40} {median:8.3f} s   {peak / 2**30:5.2f} GiB'
    if best:
      text += f'   ratio {row["ratio"]:.3f}'
    if 'execution' in request:
      start = row['build_seconds'] + row['first_step_seconds']
      text += f'   compiled in {start:.0f} s'
      if request['order'] != 'first' and first:
        text += f', {row["ratio_to_first_order"]} times first order'
    print(text, flush=True)
  for process in processes.values():
    process.close()
  return rows


def _least(medians, requests, order, kind, name='') -> float | None:
  """The best median of an order of those whose requests have `kind`.

  What is not as published does not count among those of PyTorch; with a name,
  only this name with another order counts.
  """
  wanted = name.replace(' second ', f' {order} ')
  return min((m for other, m in medians.items()
              if kind in requests[other] and requests[other]['order'] == order
              and not requests[other].get('lean')
              and (not name or other == wanted)), default=None)


def _device() -> str:
  return 'cpu' if jax.default_backend() == 'cpu' else 'cuda'


def _process(args, request) -> torch_process.Process:
  if 'layout' in request:
    return torch_process.Process(
        torch_process.interpreter(args), request, 'torch_supernet.py')
  return torch_process.Process(
      pathlib.Path(sys.executable), request, 'jax_supernet.py')


if __name__ == '__main__':
  main()
